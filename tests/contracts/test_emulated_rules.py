"""The emulation of other systems forbids what they forbid, or tests that run under it would prove nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from emulated import on_linux_alone, python

pytestmark = on_linux_alone

# Runs each rule's code in a folder of its own, and prints the name of the error that it ends in, or what ``found`` is.
PROGRAM = """
import json, os
made, start = {}, os.getcwd()
for number, (name, code) in enumerate(json.load(open("rules.json", encoding="utf-8")).items()):
    os.mkdir(str(number))
    os.chdir(str(number))
    space = {"__name__": "__main__"}
    imports = "import errno, os, signal, subprocess, sys\\nfrom pathlib import Path\\n"
    try:
        exec(compile(imports + code, "<string>", "exec"), space)
        made[name] = repr(space.get("found", "nothing"))
    except BaseException as error:
        made[name] = type(error).__name__ + (f" {error.errno}" if isinstance(error, OSError) else "")
    os.chdir(start)
print(json.dumps(made))
"""
SYSTEM = "import platform; found = os.name, sys.platform, platform.system()"
SPAWN = ("import multiprocessing; found = multiprocessing.get_start_method()", "'spawn'")
OTHER_CASE = ("Path('Clip.mp4').touch(); found = Path('clip.MP4').samefile('Clip.mp4')", "True")
HELD = "Path('a').write_bytes(b''); held = open('a', 'rb')\n"
WINDOWS = {
    "fsync of a handle that only reads": (HELD + "os.fsync(held.fileno())", "OSError 9"),
    "signal 0": ("os.kill(os.getpid(), 0)", "BrokenRule"),
    "replace of an open file": (HELD + "Path('b').touch(); os.replace('b', 'a')", "PermissionError 13"),
    "deletion of an open file": (HELD + "Path('a').unlink()", "PermissionError 13"),
    "move of an open file": ("os.mkdir('d'); held = open('d/a', 'w'); os.replace('d', 'e')", "PermissionError 13"),
    "deletion of a mapped file": (
        "import mmap\nPath('a.bin').write_bytes(b'x' * 9999)\n"
        "with open('a.bin', 'rb') as file: mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "os.unlink('a.bin')",
        "PermissionError 13",
    ),
    "deletion of a file that a child has open": (
        "Path('a').touch()\n"
        "child = subprocess.Popen([sys.executable, '-c', \"f = open('a'); print(1, flush=True); input()\"],\n"
        "    stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\ntry: os.unlink('a')\nfinally: child.communicate(b'1')",
        "PermissionError 13",
    ),
    "replace of a folder": ("os.mkdir('a'); os.mkdir('b'); os.replace('a', 'b')", "PermissionError 13"),
    "rename onto a file": ("Path('a').touch(); Path('b').touch(); os.rename('a', 'b')", "FileExistsError 17"),
    "rename of the case": ("Path('a').touch(); os.rename('a', 'A'); found = os.listdir()", "['A']"),
    "deletion of what is only read": ("Path('a').touch(); os.chmod('a', 0o444); os.unlink('a')", "PermissionError 13"),
    "deletion of the current folder": ("os.mkdir('d'); os.chdir('d'); os.rmdir('../d')", "PermissionError 13"),
    "a folder as a file": ("os.open('.', os.O_RDONLY)", "PermissionError 13"),
    "a file as a folder": ("Path('a').touch(); found = Path('a/b').exists()", "False"),
    "a link": ("os.symlink('a', 'b')", "PermissionError 1"),
    "a name with a colon": ("open('a:b', 'wb')", "OSError 22"),
    "a name with a dot at its end": ("os.mkdir('a.')", "OSError 22"),
    "a name of a device": ("Path('nul.txt').write_bytes(b'')", "OSError 22"),
    "a path of 300 characters": (
        "Path('a' * 150).mkdir(); open('a' * 150 + '/' + 'b' * 150, 'wb')",
        "FileNotFoundError 2",
    ),
    "another case": OTHER_CASE,
    "text in the system's encoding": ("Path('a').write_text('é\\n'); found = Path('a').read_bytes()", r"b'\xe9\r\n'"),
    "a handle in text mode": (
        "h = os.open('a', os.O_WRONLY | os.O_CREAT); os.write(h, b'1\\n'); os.close(h); found = Path('a').read_bytes()",
        r"b'1\r\n'",
    ),
    "output of a character that the encoding lacks": ("print('→')", "UnicodeEncodeError"),
    "/proc": ("found = Path('/proc/self/stat').exists(), os.path.isdir('/proc/self/task')", "(False, False)"),
    "names that are missing": (
        "found = [n for n in ('fork', 'getuid', 'mkfifo', 'sched_getaffinity', 'O_NOFOLLOW') if hasattr(os, n)]",
        "[]",
    ),
    "signals that are missing": ("found = signal.SIGKILL", "AttributeError"),
    "modules that are missing": ("import fcntl", "ModuleNotFoundError"),
    "the system": (SYSTEM, "('nt', 'win32', 'Windows')"),
    "signals to a process, and its status": (
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        "try: child.send_signal(signal.SIGINT)\n"
        "except ValueError: child.terminate(); found = child.wait(); child.stdin.close()",
        "1",
    ),
    "the way processes begin": SPAWN,
    "a released lock": ("from filelock import FileLock\nwith FileLock('x'): pass\nfound = os.listdir()", "[]"),
}
MACOS = {
    "the system": (SYSTEM, "('posix', 'darwin', 'Darwin')"),
    "names that are missing": ("found = hasattr(os, 'sched_getaffinity'), hasattr(os, 'fork')", "(False, True)"),
    "/proc": ("found = Path('/proc/cpuinfo').exists()", "False"),
    "another case": OTHER_CASE,
    "another Unicode form": ("Path('e\\u0301').touch(); found = Path('\\xe9').exists()", "True"),
    "the folder for temporary files": (
        "import tempfile; found = os.path.realpath(tempfile.gettempdir()) == tempfile.gettempdir()",
        "False",
    ),
    "memory in bytes, of the process alone": (
        "import resource; held = b'x' * 300_000_000; del held\n"
        "child = 'import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)'\n"
        "found = 5_000_000 < int(subprocess.check_output([sys.executable, '-c', child])) < 200_000_000",
        "True",
    ),
    "replace of an open file": (HELD + "Path('b').touch(); found = os.replace('b', 'a')", "None"),
    "the way processes begin": SPAWN,
}


@pytest.mark.parametrize(("system", "rules"), [("windows", WINDOWS), ("macos", MACOS)])
def test_a_system_forbids_what_it_forbids(system: str, rules: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text(json.dumps({name: code for name, (code, _) in rules.items()}), "utf-8")
    made = json.loads(python(system, "-c", PROGRAM, folder=tmp_path).splitlines()[-1])
    assert {n: m for n, m in made.items() if m != rules[n][1]} == {}


def test_a_library_sees_the_real_system(tmp_path: Path) -> None:
    program = "import json.tool, psutil; print(psutil.LINUX, bool(psutil.Process().cpu_affinity()))"
    assert python("windows", "-c", program, folder=tmp_path).strip() == "True True"
