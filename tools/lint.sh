#!/bin/sh
# Look at everything, and fail at the end when anything was found: style, format, types, layers, schema, generated code.
set -u
cd "$(dirname "$0")/.."
bin=$(dirname "${PYTHON:-.venv/bin/python}")
found=0

look() { # NAME COMMAND...; what the command says is shown when it fails
  name=$1
  shift
  if said=$("$@" 2>&1); then
    printf '  %-12s clean\n' "$name"
  else
    printf '%s\n  %-12s has findings\n' "$said" "$name"
    found=1
  fi
}

look style "$bin/ruff" check --quiet --output-format concise
look format "$bin/ruff" format --check --quiet
look types "$bin/mypy" --no-error-summary
look layers env NO_COLOR=1 "$bin/lint-imports" --no-logo
look schema "$bin/buf" lint proto
look "schema form" "$bin/buf" format --diff --exit-code proto
look generated tools/generate.sh --check
exit $found
