#!/bin/sh
# Make a virtual environment with the first Python on the path that is new enough; keep one that works.
# usage: tools/python.sh DIRECTORY        (PYTHON=... names the interpreter)
set -eu
venv=$1
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

[ -x "$venv/bin/python" ] && "$venv/bin/python" -c "$new_enough" 2>/dev/null && "$venv/bin/python" -m pip --version >/dev/null 2>&1 && exit 0

for python in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
  if command -v "$python" >/dev/null 2>&1 && "$python" -c "$new_enough" 2>/dev/null; then
    "$python" -m venv --clear "$venv" && exit 0
    echo "The venv module of $python does not work: on Debian and Ubuntu, install python3-venv." >&2
    exit 1
  fi
done
echo "Python 3.11 or newer is needed and is not on the path; PYTHON=/path/to/python make ... names one." >&2
exit 1
