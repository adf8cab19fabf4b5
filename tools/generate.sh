#!/bin/sh
# Generate src/exchange/v1 from proto/. The result is committed; .ci/run checks that it is current.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
rm -f src/exchange/v1/*_pb2*.py src/exchange/v1/*_pb2*.pyi
PATH="$(dirname "$python"):$PATH" "$python" -m grpc_tools.protoc -I proto \
  --python_out=src --mypy_out=quiet:src --grpc_python_out=src --mypy_grpc_out=quiet:src \
  proto/exchange/v1/*.proto
# Messages without a service get an empty grpc module; drop it.
for f in src/exchange/v1/*_pb2_grpc.py; do
  grep -q '^class ' "$f" || rm -f "$f" "${f}i"
done
