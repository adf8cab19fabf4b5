#!/bin/sh
# Resolve pyproject.toml into files of exact, hashed versions: requirements/run.txt (what a node needs),
# requirements/dev.txt (the same, and what building, checking and testing need), and one beside them for each tool that
# only its own target installs (fuzz, sbom, audit). No index address is written.
# usage: tools/lock.sh [pip-compile options, such as --upgrade]
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}

compile() { # OUTPUT [option ...]; requirements on stdin
  output=$1
  shift
  CUSTOM_COMPILE_COMMAND='make lock' "$python" -m piptools compile --quiet --allow-unsafe --generate-hashes --no-annotate \
    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options --strip-extras \
    --output-file "$output" "$@" -
}

listed() { # an expression over the parsed pyproject.toml
  "$python" -c 'import sys, tomllib; print("\n".join(eval(sys.argv[1], {"p": tomllib.load(open("pyproject.toml", "rb"))})))' "$1"
}

listed 'p["project"]["dependencies"]' | compile requirements/run.txt "$@"
listed 'p["project"]["dependencies"] + p["build-system"]["requires"] + p["dependency-groups"]["dev"]' |
  compile requirements/dev.txt --constraint requirements/run.txt "$@"
for group in fuzz sbom audit; do
  listed "p[\"dependency-groups\"][\"$group\"]" |
    compile "requirements/$group.txt" --constraint requirements/dev.txt "$@"
done
