#!/bin/sh
# Makes .venv from a hashed lock, or does nothing when it is made already: deploy/bootstrap.sh local|dev
#
# The stamp is this checkout's path and the lock itself, so a changed lock installs over what is there. A .venv without a
# stamp was interrupted, and one with another path was moved: both are made anew. The dev lock holds all of the local one.
set -eu
cd "$(dirname "$0")/.."
here=$(pwd -P)
wanted=$1
unset PYTHONHOME PYTHONPATH

fail() {
    echo "bootstrap: $*" >&2
    exit 1
}

stamp_of() {
    echo "$here"
    cat "requirements/$1.txt"
}

is_current() {
    [ -x .venv/bin/python ] && stamp_of "$1" | cmp -s - ".venv/$1.stamp"
}

is_ready() {
    is_current dev || { [ "$wanted" = local ] && is_current local; }
}

if is_ready; then exit 0; fi

# Two at a time: the second waits and then finds the work done. The script itself is the lock file, so none is left behind.
if command -v flock >/dev/null; then
    exec 9<deploy/bootstrap.sh
    flock 9
    if is_ready; then exit 0; fi
fi

serves() {
    "$1" -c "import sys; sys.exit(not ((3, 11) <= sys.version_info < (3, $2)))" 2>/dev/null
}

# A Python newer than those the project is tested on is used only when there is no other.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        serves "$PYTHON" 99 || fail "PYTHON=$PYTHON is not Python 3.11 or newer."
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11; do
        if serves "$candidate" 14; then echo "$candidate"; return; fi
    done
    if serves python3 99; then echo python3; return; fi
    fail "Python 3.11 or newer is needed (3.11, 3.12 and 3.13 are tested). Install it, or name it: make PYTHON=/path/to/python3."
}

python=$(find_python)
version=$("$python" -c 'import platform; print(platform.python_version())')
started=$(date +%s)
printf 'Making .venv from requirements/%s.txt with Python %s ...' "$wanted" "$version"

log=$(mktemp "${TMPDIR:-/tmp}/yousync-bootstrap.XXXXXX")
trap 'rm -f "$log"' EXIT

run() {
    "$@" >"$log" 2>&1 || {
        echo " failed"
        tail -n 15 "$log" >&2
        fail "could not finish: $*"
    }
}

path_of_stamp=$(cat .venv/*.stamp 2>/dev/null | head -n 1)
if [ -x .venv/bin/python ] && [ "$path_of_stamp" = "$here" ]; then
    rm -f .venv/*.stamp
elif "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    run "$python" -m venv --clear .venv
elif "$python" -c 'import venv, pip' 2>/dev/null; then
    run "$python" -m venv --clear --without-pip .venv
else
    echo " failed"
    fail "this Python cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv"
fi

if .venv/bin/python -c 'import pip' 2>/dev/null; then
    set -- .venv/bin/python -m pip
else
    set -- "$python" -m pip --python .venv/bin/python
fi
run "$@" install --quiet --no-input --disable-pip-version-check --progress-bar off --no-compile \
    --require-hashes --no-deps -r "requirements/$wanted.txt"

# The project itself: its root on the path, relative to site-packages, and the console script of pyproject.toml. An editable
# install would do the same through a build, which needs setuptools and several seconds.
site_packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo ../../../.. >"$site_packages/yousync.pth"
cat >.venv/bin/yousync <<'SCRIPT'
#!/bin/sh
'''exec' "$(dirname "$0")/python" "$0" "$@"
' '''
from yousync.cli import app

app()
SCRIPT
chmod +x .venv/bin/yousync

stamp_of "$wanted" >".venv/$wanted.stamp"
echo " $(($(date +%s) - started)) s"
