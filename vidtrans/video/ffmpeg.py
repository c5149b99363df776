"""Find, query and run the user's own ffmpeg program, for filter graphs and for encoders that PyAV's build lacks.

Sources and results are NUT files with one video stream; NUT holds any codec and keeps every timestamp exactly. Only
this module uses ffmpeg-python, which builds the command line. No shell is involved.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO

import av

from vidtrans.core.child_process import end_process
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.events import NEVER_STOP, Progress, Report, Stop, ignore_event

POLL_S = 0.1  # Seconds between two checks for a stop request
QUERY_TIMEOUT_S = 60.0  # Seconds after which a query of the program fails
# Major version of libavcodec in ffmpeg 7, which has an option for a graph's time base, and deprecates -vsync.
_LIBAVCODEC_7 = 61
NUM_THREADS = 4  # Threads of an encoder; they affect its bytes, so their number is equal on all machines
MAX_ERROR_LINES = 200  # Number of the last lines of the program's error output that are kept
# Matches encoder options that would override options of this module, or that ffmpeg takes for its own: color_trc:v.
_RESERVED_OPTION = re.compile(r"(color_\w+|colorspace|sws_flags|aspect|stats|passlogfile)(:.*)?")
# Names of options of ffmpeg itself that affect an encoder's result.
_GENERAL_OPTIONS = frozenset({"q", "qscale", "pix_fmt", "force_key_frames"})
# Matches the section of ffmpeg's help with the options of all encoders.
_CODEC_OPTION_SECTION = re.compile(r"^AVCodecContext AVOptions:\n(.*?)^\S", re.MULTILINE | re.DOTALL)
# Matches a line of ffmpeg's help on an option of video encoders: -crf <float> E..V.
_ENCODER_OPTION = re.compile(r"^  -([\w-]+) +<\w+> +E..V", re.MULTILINE)
# Matches an encoder option, name=value: q:v=65.
_OPTION = re.compile(r"\s*([A-Za-z][\w.-]*(?::\w+)*)=(.*\S)\s*", re.DOTALL)
# swscale flags; bitexact and accurate_rnd make a conversion equal on every processor.
_SCALING = "bicubic+accurate_rnd+full_chroma_int+bitexact"
# Filters that convert frames to BT.709 and tag them: ffmpeg 9, and encoders of ffmpeg 5 (ProRes), ignore some of _TAGS.
_TO_BT709 = (
    "scale=out_color_matrix=bt709:out_range=tv,"
    "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
)
# Output options that tag a stream as BT.709, limited range.
_TAGS = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}
# Matches the time base of a graph, printed by the filter 'showinfo' before the first frame.
_TIME_BASE = re.compile(r"config in time_base: (\d+/\d+)")
# Matches the beginning of an error line that follows from an earlier, more precise line.
_SECONDARY_ERROR = re.compile(
    r"Error (reinitializing filters|sending frames|initializing (output stream|filter|a simple filter))"
    r"|Error opening (in|out)put file"
    r"|Error (applying encoder options|parsing (a )?filter|processing packet in|submitting|muxing a packet)"
    r"|Error while (processing|opening encoder|filtering)|Failed to (inject frame|configure)|Task finished with error"
    r"|Terminating thread|Conversion failed|Could not open encoder before|Nothing was written into|Exiting with exit"
    r"|Error closing file|av_interleaved_write_frame|Link '|\s|$"
)
# Matches an error line that a wrong filter graph causes.
_GRAPH_ERROR = re.compile(
    r"No such filter|to filter '|[Ff]iltergraph|Impossible to convert|hardware device|[Nn]on-monoton|Negative pts"
    r"|\[(AVFilterGraph|Parsed_|fc#|vf#)"
)
# Matches an error line that a wrong encoder option causes.
_ENCODER_ERROR = re.compile(r"[Oo]ption|[Pp]ixel format|[Pp]reset|Impossible to convert")
_LOG_PREFIX = re.compile(r"^(\[[^\]]*\] *)+")  # Matches the names of modules before a log message: [libx264 @ 0x55]


def find_program() -> Path:
    """Return the path of the user's ffmpeg, else of that in the package imageio-ffmpeg. Raises UsageError.

    A program in the current folder is never used: relative entries of the PATH (".") are ignored, and so is the current
    folder itself, which Windows would search first.
    """
    name = "ffmpeg.exe" if os.name == "nt" else "ffmpeg"
    folders = [folder for folder in os.get_exec_path() if os.path.isabs(folder)]
    program = next(filter(None, (shutil.which(os.path.join(folder, name)) for folder in folders)), None)
    if program is None:
        with suppress(ImportError, RuntimeError):
            import imageio_ffmpeg

            program = imageio_ffmpeg.get_ffmpeg_exe()
    # imageio-ffmpeg may return the bare name, which the system would search on the PATH, including ".".
    if program is None or not (os.path.isabs(program) and os.path.isfile(program)):
        why = "there is no ffmpeg program on the PATH"
        raise UsageError("a filter graph or an encoder", why, "install ffmpeg, or: pip install imageio-ffmpeg")
    return Path(program)


def program_version(program: Path) -> str:
    """Return the version of an ffmpeg program, such as '5.1.9-0+deb12u1'. Raises UsageError where it does not run."""
    match = re.match(r"ffmpeg version (\S+)", query_program(program, "-version"))
    if not match:
        raise UsageError(str(program), "it is not ffmpeg", "install ffmpeg")
    return match[1]


def encoders(program: Path) -> frozenset[str]:
    """Return the names of the program's video encoders. Raises UsageError where the program does not run."""
    rows = query_program(program, "-hide_banner", "-encoders").partition("------")[2].splitlines()
    return frozenset(row.split()[1] for row in rows if re.match(r" V\S* \S", row))


def query_program(program: Path, *arguments: str) -> str:
    """Return the standard output of the program with these arguments. Raises UsageError where it does not run."""
    command = [str(program), *arguments]
    try:
        output = subprocess.check_output(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=QUERY_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _run_error(program, error) from None
    return output.decode("utf-8", "replace")


def _run_error(program: Path, error: Exception) -> UsageError:
    """Return the UsageError for a program that does not run; ``error``: the cause."""
    why = str(getattr(error, "strerror", None) or error).lower()
    return UsageError(str(program), f"the program does not run ({why})", "install ffmpeg again")


def keeps_time_base(program: Path) -> bool:
    """Return whether the program has the option ``enc_time_base=filter`` (ffmpeg 7 and newer, or unknown)."""
    match = re.search(r"^libavcodec .*/ *(\d+)\.", query_program(program, "-version"), re.MULTILINE)
    return not match or int(match[1]) >= _LIBAVCODEC_7


class RunningProgram:
    """A running process of ffmpeg, killed on exit. Threads read its output, because it would block on a full pipe."""

    def __init__(self, command: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise _run_error(Path(command[0]), error) from None
        self._output: SimpleQueue[tuple[bool, str] | None] = SimpleQueue()
        streams = (False, self._process.stdout), (True, self._process.stderr)
        self._threads = [Thread(target=self._read, args=stream, daemon=True) for stream in streams]
        for thread in self._threads:
            thread.start()

    def _read(self, is_error: bool, stream: IO[bytes]) -> None:
        """Put the lines of a stream into the output queue, and None at the end; ``is_error``: the stream is stderr."""
        with stream:
            for line in stream:
                self._output.put((is_error, line.decode("utf-8", "replace").rstrip()))
        self._output.put(None)

    def lines(self, stop: Stop) -> Iterator[tuple[bool, str]]:
        """Yield (whether the line is from stderr, line) until the program ends.

        Raises Interrupted at a stop request.
        """
        num_open = len(self._threads)
        while num_open:
            stop.check()
            with suppress(Empty):
                if item := self._output.get(timeout=POLL_S):
                    yield item
                else:
                    num_open -= 1

    def status(self) -> int:
        """Wait for the program to end and return its exit status."""
        return self._process.wait()

    def __enter__(self) -> RunningProgram:
        return self

    def __exit__(self, *exception: object) -> None:
        end_process(self._process)
        for thread in self._threads:
            thread.join(timeout=5)


class NoFramesError(UsageError):
    """Raised if a filter graph outputs no frame."""


@dataclass(frozen=True)
class FFmpegJob:
    """A conversion of a whole file by the ffmpeg program; without an ``encoder``, to lossless FFV1 in full-range RGB.

    ``graph`` is a filter graph with one input and one output. Raises UsageError where settings of the job contradict
    each other, or an option would override the settings that keep times and colours right.
    """

    graph: str = ""
    encoder: str = ""
    options: tuple[tuple[str, str], ...] = ()  # Of the encoder
    deep: bool = False  # 16 bits per channel (gbrp16le) rather than 8 (bgr0); lossless output only
    alpha: bool = False  # Keep alpha (bgra, gbrap16le); lossless output only

    def __post_init__(self) -> None:
        """Raise UsageError for settings that contradict each other, or an option that the job must set itself."""
        for text in (self.graph, self.encoder, *(part for option in self.options for part in option)):
            if "\0" in text:
                raise UsageError("ffmpeg", "a zero byte cannot be part of a command", "leave it out")
        if self.options and not self.encoder:
            raise UsageError("encoder options", "no encoder is given", "name an encoder with ffmpeg:NAME")
        if self.encoder and (self.deep or self.alpha):
            why = "16 bits and alpha are only for lossless output"
            raise UsageError(f"encoder {self.encoder}", why, "choose its pixel format with the option pix_fmt=…")
        for name, _ in self.options:
            if _RESERVED_OPTION.fullmatch(name):
                raise UsageError(f"encoder option {name}", "vidtrans decides this itself", "leave it out")

    @property
    def pix_fmt(self) -> str:
        """The pixel format requested for the output; ffmpeg uses the nearest one that the encoder has."""
        if not self.encoder:
            return ("gbrap16le" if self.alpha else "gbrp16le") if self.deep else ("bgra" if self.alpha else "bgr0")
        options = dict(self.options)
        default = "bgr0" if self.encoder == "libx264rgb" else "yuv420p"
        return options.get("pix_fmt", options.get("pix_fmt:v", default))

    @property
    def to_bt709(self) -> bool:
        """Whether colours are converted to BT.709 and tagged as such: not for RGB output, which has no matrix."""
        try:
            return bool(self.encoder) and not av.VideoFormat(self.pix_fmt).is_rgb
        except ValueError:  # A format of the program that PyAV does not know
            return True


def parse_options(text: str) -> tuple[tuple[str, str], ...]:
    """Parse an encoder's options, as 'q:v=65,profile:v=high'; a value may contain '='. Raises UsageError."""
    options: dict[str, str] = {}
    for item in text.split(",") if text.strip() else []:
        match = _OPTION.fullmatch(item)
        if not match:
            why = f"'{item.strip()}' is not name=value"
            raise UsageError(f"encoder options '{text}'", why, "write them like q:v=65,profile:v=high")
        if match[1] in options:
            raise UsageError(f"encoder options '{text}'", f"{match[1]} is given twice", "give it once")
        options[match[1]] = match[2].lstrip()
    return tuple(options.items())


def check_encoder(program: Path, job: FFmpegJob) -> None:
    """Raise UsageError if the program lacks the job's encoder, or the encoder lacks one of the options.

    ffmpeg itself only warns about another encoder's option, and takes the value of a flag, such as 'an', as the name of
    a further output file.
    """
    if job.encoder and job.encoder not in encoders(program):
        why = "ffmpeg has no video encoder of that name"
        raise UsageError(f"encoder {job.encoder}", why, "`ffmpeg -encoders` lists them")
    if job.options:
        general = _CODEC_OPTION_SECTION.search(query_program(program, "-hide_banner", "-h", "full"))
        listed = query_program(program, "-hide_banner", "-h", f"encoder={job.encoder}")
        valid = _GENERAL_OPTIONS.union(_ENCODER_OPTION.findall(listed + (general[1] if general else "")))
        for name, _ in job.options:
            if name.partition(":")[0] not in valid:
                remedy = f"`ffmpeg -h encoder={job.encoder}` lists its options"
                raise UsageError(f"encoder option {name}", f"{job.encoder} has no option of that name", remedy)


def run_ffmpeg_job(
    source: Path,
    output: Path,
    job: FFmpegJob,
    stop: Stop = NEVER_STOP,
    report: Report = ignore_event,
    num_frames: int | None = None,
) -> None:
    """Convert ``source`` to ``output`` by a filter graph, an encoder or both; equal jobs give equal bytes.

    ``source`` is a NUT file of FFV1 in full-range RGB. ``output`` is a NUT file whose frames have exactly the times
    that the graph gives them; with an encoder it is BT.709, limited range, and tagged as such. ``num_frames``: of the
    source, for progress only. Raises UsageError for a wrong graph or encoder, MediaError for a damaged source,
    Interrupted, and OSError where the disk is full. After an error, ``output`` is deleted and the program has ended.
    """
    program = find_program()
    check_encoder(program, job)
    output.open("wb").close()  # Raises the system's error if it cannot be written
    try:
        frame_times = _frame_times(program, source, job, stop)
        command = _command(program, source, f"file:{output}", _output_options(job) | frame_times)
        num_done, errors = 0, deque[str](maxlen=MAX_ERROR_LINES)
        with RunningProgram(command) as running:
            for is_error, line in running.lines(stop):
                if is_error:
                    errors.append(line)
                elif line.startswith("frame=") and int(line[6:]) > num_done:
                    num_done = int(line[6:])
                    report(Progress("filtering", num_done, num_frames))
            status = running.status()
        stop.check()  # Ctrl-C also reaches the program, which then ends with an error
        if status:
            raise _failure(job, status, errors, source, output)
        if not num_done:
            raise NoFramesError(_graph_name(job.graph), "no frame comes out of it", "change the graph")
    except BaseException:
        output.unlink(missing_ok=True)
        raise


def _command(program: Path, source: Path, output: str, options: dict[str, str | None]) -> list[str]:
    """Return the command line of ffmpeg; 'file:' and -f keep it from interpreting file names and contents.

    ``options``: of the output, by name; the value None is a flag without a value.
    """
    import ffmpeg

    def utf8(text: str) -> str:
        """Return the text's UTF-8 bytes as Latin-1: ffmpeg-python refuses the surrogates of non-UTF-8 names."""
        return text.encode("utf-8", "surrogatepass").decode("latin-1")

    picture = ffmpeg.input(utf8(f"file:{source}"), format="nut", protocol_whitelist="file")["v:0"]
    job = ffmpeg.output(picture, utf8(output), **{utf8(k): v and utf8(v) for k, v in options.items()})
    common = ("-nostdin", "-hide_banner", "-nostats", "-copyts", "-xerror", "-loglevel")
    # ffmpeg reports the time base of the graph in log messages of the level "info".
    level = ("info",) if options["format"] == "null" else ("error", "-progress", "pipe:1")
    arguments = job.global_args(*common, *level).compile(overwrite_output=True)[1:]
    return [str(program), *(text.encode("latin-1").decode("utf-8", "surrogatepass") for text in arguments)]


def _output_options(job: FFmpegJob) -> dict[str, str | None]:
    """Return the output options for ffmpeg-python, except those of timestamps; None is a flag without a value."""
    graph = _append_filters(job.graph, _TO_BT709) if job.to_bt709 else job.graph.strip()
    options: dict[str, str | None] = {"format": "nut", "bitexact": None, "sws_flags": _SCALING}
    options |= {"avoid_negative_ts": "disabled"}  # B-frames are decoded before 0; ffmpeg would shift all times
    options |= {"threads": str(NUM_THREADS)}
    options |= {"vf": graph} if graph else {}
    if job.encoder:
        options |= {"c:v": job.encoder, **dict(job.options)} | (_TAGS if job.to_bt709 else {})
        options.pop("pix_fmt:v", None)
    else:
        options |= {"c:v": "ffv1", "level": "3", "slices": "4"}
    return options | {"pix_fmt": job.pix_fmt}


def _frame_times(program: Path, source: Path, job: FFmpegJob, stop: Stop) -> dict[str, str | None]:
    """Return output options, for the program's version, that write each frame of the graph once, in its time base."""
    if keeps_time_base(program):
        return {"fps_mode": "passthrough", "enc_time_base": "filter"}
    graph = _append_filters(_output_options(job).get("vf") or "", "showinfo")
    with RunningProgram(_command(program, source, "-", {"format": "null", "vf": graph})) as running:
        for _, line in running.lines(stop):
            if match := _TIME_BASE.search(line):
                return {"vsync": "passthrough", "enc_time_base": match[1]}
    return {"vsync": "passthrough", "enc_time_base": "-1"}  # The job will fail too, and state why


def _append_filters(graph: str, filters: str) -> str:
    """Return a filter graph with filters appended to its output, which may have a label, as in 'hflip[out]'."""
    graph = graph.strip()
    if not graph:
        return filters
    label = re.search(r"\[[^\[\]]*\]$", graph)
    return f"{graph};{label[0]}{filters}" if label else f"{graph},{filters}"


def _graph_name(graph: str) -> str:
    """Return the name of a filter graph for messages; 'ffmpeg' for an empty graph."""
    return f"filter graph '{graph.strip()}'" if graph.strip() else "ffmpeg"


def _failure(job: FFmpegJob, status: int, errors: Sequence[str], source: Path, output: Path) -> Exception:
    """Return the exception for a failed job, with the last error line that states a cause.

    ``status``: the program's exit status, or minus the number of the signal that ended it.
    """
    if status < 0:
        why = f"the program was killed (signal {-status})"
        return MediaError("ffmpeg", why, "there may be too little memory: use a smaller size")
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        if any(os.strerror(code) in line for line in errors):
            return OSError(code, os.strerror(code), str(output))
    causes = [line for line in errors if not _SECONDARY_ERROR.match(_LOG_PREFIX.sub("", line))] or errors
    line = causes[-1] if causes else f"exit status {status}"
    why = _LOG_PREFIX.sub("", line).strip()
    if job.graph and _GRAPH_ERROR.search(line):
        remedy = "`ffmpeg -filters` lists filters; a graph has one input, and one output at its end"
        return UsageError(_graph_name(job.graph), why, remedy)
    if job.encoder and (job.encoder in line or _ENCODER_ERROR.search(why)):
        remedy = f"`ffmpeg -h encoder={job.encoder}` lists its options; or choose another"
        return UsageError(f"encoder {job.encoder}", why, remedy)
    return MediaError(str(source), f"ffmpeg failed ({why})", "run the command again")
