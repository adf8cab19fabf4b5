#!/usr/bin/env bash
# The auditor's kit: the independent verifier for each machine that an auditor may have, the script that checks one record
# by hand, and what to do with them. Needs Debian's golang-go and golang-golang-x-mod-dev; nothing is fetched.
#
#   build.sh FOLDER [OS/ARCH ...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
shift
[ $# -gt 0 ] || set -- linux/amd64 linux/arm64 linux/loong64 windows/amd64
command -v go >/dev/null || { echo "golang-go is missing: apt-get install golang-go golang-golang-x-mod-dev" >&2; exit 1; }
[ -d /usr/share/gocode/src/golang.org/x/mod ] || { echo "golang-golang-x-mod-dev is missing" >&2; exit 1; }
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
known=$(go tool dist list)
for target in "$@"; do
  grep -qx "$target" <<<"$known" || { echo "$(go version) does not know $target: left out" >&2; continue; }
  name=verify-${target/\//-}
  [ "${target%%/*}" = windows ] && name=$name.exe
  (cd "$here/go" && GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= CGO_ENABLED=0 GOOS=${target%%/*} GOARCH=${target##*/} \
    go build -trimpath -ldflags='-s -w' -o "$folder/$name" .)
done
cp "$here/shell/record.sh" "$here/说明.txt" "$folder/"
(cd "$folder" && sha256sum verify-* record.sh 说明.txt >SHA256SUMS)
ls "$folder"
