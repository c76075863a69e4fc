"""From a bare machine with Python 3.11 to `.venv` with the locked packages, then on to what was asked for.

    python3 scripts/bootstrap.py run                          # make run
    python3 scripts/bootstrap.py manage COMMAND...            # make migrate, make seed
    python3 scripts/bootstrap.py LOCK ARGUMENTS...            # .venv/bin/python ARGUMENTS, with LOCK installed

Standard library only, and a syntax that Python 3.6 still parses, so that it
can say in a sentence that it is too old. pip runs only when the lock changed.
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "carewright-installed.json")
PIP_LOG = os.path.join(VENV, "pip.log")
OLDEST, NEWEST = (3, 11), (3, 14)
# A lock is satisfied by itself and by every lock that contains it.
WIDER = {
    "requirements.lock": ["requirements.lock", "requirements-local.lock", "requirements-dev.lock"],
    "requirements-local.lock": ["requirements-local.lock", "requirements-dev.lock"],
    "requirements-dev.lock": ["requirements-dev.lock"],
}
DISK_NEEDED_MB = 1200
SIGNS_OF_NO_NETWORK = (
    "NewConnectionError",
    "onnection refused",
    "timed out",
    "ame resolution",
    "ProxyError",
    "getaddrinfo",
)


def say(sentence):
    sys.stdout.write("carewright: " + sentence + "\n")
    sys.stdout.flush()


def fail(sentence):
    sys.stderr.write("carewright: " + sentence + "\n")
    raise SystemExit(1)


def use_new_enough_python():
    """Go on with a newer Python of this machine where this one is too old, or say so."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        program = shutil.which(f"python3.{minor}")
        if program and subprocess.call([program, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(program, [program, *sys.argv])
    here = ".".join(str(part) for part in sys.version_info[:2])
    fail(f"Carewright needs Python 3.11 to 3.14, this is {here}; name another: make PYTHON=/path/to/python3.11")


def install(lock):
    """Make `.venv` hold what `lock` names. Returns at once when it does already."""
    try:
        os.makedirs(VENV, exist_ok=True)
        with open(os.path.join(VENV, ".install-lock"), "w") as guard:
            # Two commands started side by side must not fill one .venv at the same time.
            fcntl.flock(guard, fcntl.LOCK_EX)
            if not is_installed(lock):
                make_environment()
                install_packages(lock)
    except OSError as error:
        fail(f"cannot write {VENV}: {(error.strerror or str(error)).lower()}.")


def is_installed(lock):
    try:
        with open(STAMP) as file:
            stamp = json.load(file)
    except (OSError, ValueError):
        return False
    return any(stamp.get("locks", {}).get(wider) == digest(wider) for wider in WIDER[lock]) and environment_works()


def digest(lock):
    with open(os.path.join(ROOT, lock), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def environment_works():
    """Whether the interpreter of .venv still starts: it is a link to one that may have been removed since."""
    if not os.path.exists(VENV_PYTHON):
        return False
    return subprocess.call([VENV_PYTHON, "-c", "import pip"], stderr=subprocess.DEVNULL) == 0


def make_environment():
    if environment_works():
        return
    free = shutil.disk_usage(ROOT).free // 1000000
    if free < DISK_NEEDED_MB:
        fail(f"the disk of {ROOT} is full: {free} MB free, {DISK_NEEDED_MB} MB needed.")
    say("making the Python environment .venv")
    command = [sys.executable, "-m", "venv", VENV]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or not environment_works():
        if "ensurepip" in done.stdout:
            fail("this Python cannot make environments; on Debian or Ubuntu: apt-get install python3-venv")
        fail(f"cannot make the environment .venv: {last_line(done.stdout)}.")


def install_packages(lock):
    say(f"installing the packages of {lock} (only when it changed; about a minute)")
    command = [VENV_PYTHON, "-m", "pip", "install", "--require-hashes", "--no-deps", "--no-compile", "--no-input"]
    command += [
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        "--retries",
        "2",
        "-r",
        os.path.join(ROOT, lock),
    ]
    with open(PIP_LOG, "w") as log:
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode
    with open(PIP_LOG, errors="replace") as log:
        output = log.read()
    if code:
        fail(f"the packages could not be installed: {reason_of_pip(output)}; see .venv/pip.log.")
    with open(STAMP, "w") as file:
        json.dump({"locks": {lock: digest(lock)}}, file)


def reason_of_pip(output):
    if "No space left on device" in output:
        return "the disk is full"
    if "DO NOT MATCH THE HASHES" in output:
        return "a package is not the one that was locked, its hash differs"
    if any(sign in output for sign in SIGNS_OF_NO_NETWORK):
        return "the package index cannot be reached, and this first start needs it"
    return last_line([line for line in output.splitlines() if "ERROR" in line])


def last_line(text):
    lines = [line for line in (text.splitlines() if isinstance(text, str) else text) if line.strip()]
    return lines[-1].strip().rstrip(".") if lines else "no reason was given"


def main(arguments):
    use_new_enough_python()
    # An exception instead of sudden death: subprocess.run then ends pip too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    os.chdir(ROOT)
    if arguments[:1] in (["run"], ["manage"]):
        sys.path.insert(0, ROOT)
        from scripts import manage, run

        return run.main() if arguments[0] == "run" else manage.main(arguments[1:])
    if len(arguments) < 2 or arguments[0] not in WIDER:
        fail("usage: bootstrap.py run, manage COMMAND... or LOCK ARGUMENTS...")
    install(arguments[0])
    os.execv(VENV_PYTHON, [VENV_PYTHON, *arguments[1:]])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
