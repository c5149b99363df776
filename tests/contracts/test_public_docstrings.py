"""Every name of the public library is described, and so is every method and property of its classes."""

import inspect

import pytest

import vidtrans


def public_members(cls):
    """Names and objects of the methods and properties that ``cls`` and its bases in this package define."""
    for owner in cls.__mro__:
        if owner.__module__.startswith("vidtrans"):
            for name, member in vars(owner).items():
                if not name.startswith("_") and (inspect.isroutine(member) or isinstance(member, property)):
                    yield f"{owner.__name__}.{name}", member


@pytest.mark.parametrize("name", [n for n in dir(vidtrans) if not n.startswith("_")])
def test_public_names_are_described(name):
    subject = getattr(vidtrans, name)
    assert inspect.getdoc(subject) or name == "Report"  # an alias: the type of a callback
    if inspect.isclass(subject):
        assert [member for member, made in public_members(subject) if not inspect.getdoc(made)] == []
