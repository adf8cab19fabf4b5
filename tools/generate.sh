#!/bin/sh
# Generate src/exchange/v1 from proto/; the result is committed.
# usage: tools/generate.sh [--check]      (--check writes nothing and fails when the committed code is not current)
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

PATH="$(dirname "$python"):$PATH" "$python" -m grpc_tools.protoc -I proto \
  --python_out="$made" --mypy_out="quiet:$made" --grpc_python_out="$made" --mypy_grpc_out="quiet:$made" \
  proto/exchange/v1/*.proto
# Messages without a service get an empty grpc module; drop it.
for f in "$made"/exchange/v1/*_pb2_grpc.py; do
  grep -q '^class ' "$f" || rm -f "$f" "${f}i"
done

if [ "${1:-}" = --check ]; then
  diff -rq -x __init__.py -x __pycache__ "$made/exchange/v1" src/exchange/v1 >&2 || {
    echo "src/exchange/v1 is not what proto/ generates: run make proto" >&2
    exit 1
  }
else
  rm -f src/exchange/v1/*_pb2*.py src/exchange/v1/*_pb2*.pyi
  cp "$made"/exchange/v1/*_pb2* src/exchange/v1/
fi
