"""A request to render models onto one video: the models, the masks, the regions and their looks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from vidtrans.config.recipe import Recipe
from vidtrans.core.mask_files import MaskFile, RegionLook
from vidtrans.core.settings import Time
from vidtrans.core.system import as_found
from vidtrans.models.look_pictures import NamedPictures, medium_label, names_pictures, parse_pictures
from vidtrans.models.model_chain import SEPARATOR
from vidtrans.models.model_file import IDENTITY, medium_among
from vidtrans.pipeline.render import look_named
from vidtrans.strokes.settings import medium_named
from vidtrans.video.io.picture_paths import is_picture


@dataclass(frozen=True)
class StylizeRequest:
    """A request to render models onto one video, picture or folder, each model onto the previous one's output.

    ``models``: none if the look of the recipe names pictures or a medium: the model is made where the clip is rendered.
    ``mask``: white where the models' output is visible. ``regions``: parts of the picture with looks of their own, over
    that of ``models``; frames stay as they are where ``models`` is the identity alone. ``score``: measure flicker and
    save a plot next to the output. ``in_batch``: the batch trims the cache after all of its clips.
    """

    COMMAND: ClassVar = "stylize"

    video: Path
    models: tuple[str, ...]
    output: Path | None
    recipe: Recipe
    start: Time | None = None
    end: Time | None = None
    mask: MaskFile | None = None
    score: bool = False
    in_batch: bool = False
    regions: tuple[RegionLook, ...] = ()

    @property
    def pictures(self) -> NamedPictures | None:
        """Return the pictures or the medium that the model is made of; None with a model. Raises UsageError."""
        look = look_named(self.recipe.tables)
        return parse_pictures(look) if look and not self.models else None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the models, those of regions first, and of the medium. Raises UsageError."""
        own = self.models if (pictures := self.pictures) is None else (pictures.name,)
        found = (*dict.fromkeys(filter(None, map(_name_of, self.regions))), *own)
        medium = medium_label(medium_named(self.recipe.tables)) if medium_named(self.recipe.tables) else ""
        return (*found, medium) if medium and medium not in found else found

    @property
    def keeps_rest(self) -> bool:
        """Return whether what is in no region stays as it is."""
        return bool(self.regions) and self.models == (IDENTITY,)

    @property
    def masks(self) -> list[MaskFile]:
        """Return all masks."""
        return [mask for mask in (self.mask, *(region.mask for region in self.regions)) if mask]

    def with_looks(self) -> StylizeRequest:
        """Return the request with looks in the place of models that are names of media, or pictures."""
        look = "" if look_named(self.recipe.tables) else medium_among(self.models)
        look = _look_in(self.models) if self.regions else look
        own = replace(self, regions=tuple(map(_with_look, self.regions)))
        return replace(own, models=(), recipe=self.recipe.under({"rendering": {"look": look}})) if look else own


def _with_look(region: RegionLook) -> RegionLook:
    """Return a region with a look in the place of its model, if that names one."""
    look = "" if region.look else _look_in(region.models)
    return replace(region, models=(), look=look) if look else region


def _look_in(models: tuple[str, ...]) -> str:
    """Return the look that the only model names: a medium, a picture or a mixture; '' if it is a model."""
    if len(models) != 1:
        return ""
    [name] = models
    is_mixture = ":" in name and not as_found(Path(name)).exists() and names_pictures(name)
    return name if medium_among(models) or is_picture(Path(name)) or is_mixture else ""


def _name_of(region: RegionLook) -> str:
    """Return the name of a region's look; '' if it has none."""
    return parse_pictures(region.look).name if region.look and not region.models else SEPARATOR.join(region.models)
