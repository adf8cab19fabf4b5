#!/usr/bin/env bash
# One record of an audit folder, checked by hand: openssl, sha256sum, od, awk, tar and base64, and nothing of the gateway.
#
#   record.sh FOLDER ORIGIN INDEX ROOTS.pem LOG_VKEY COSIGNER_VKEY [ANNOUNCED_AT]
#
# ROOTS.pem: signing roots of the region whose log it is, and both vkeys: from the cards, not from the folder.
# ANNOUNCED_AT: index of the KeyAnnouncement that tells of the signing key; 0, the first entry, unless told otherwise.
# Exit status: 0 when every line says OK, 1 when one does not, 2 usage.
set -uo pipefail
[ $# -ge 6 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1 origin=$2 index=$3 roots=$(realpath "$4") log_vkey=$5 cosigner_vkey=$6 announced_at=${7:-0}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$folder" || exit 2
strange=$(find . ! -type d ! -type f -print -quit) # nothing is read through a link, and nothing waits for a pipe
[ -z "$strange" ] || { echo "WRONG a link, a pipe or a device in the folder"; exit 1; }
room=logs/$origin
failed=0

say() { # TEXT: OK when the last command went well
  if [ "$1" -eq 0 ]; then echo "OK    $2"; else echo "WRONG $2"; failed=1; fi
}
hex() { od -An -v -tx1 "$@" | tr -d ' \n'; }
unhex() { printf '%b' "$(sed 's/../\\x&/g')"; }
sha256() { unhex | sha256sum | cut -d' ' -f1; } # hex in, hex out
node() { printf '01%s%s' "$1" "$2" | sha256; } # RFC 6962: the hash above two hashes

name_of() { # NUMBER COUNT: the name of a tile or bundle below its room, C2SP tlog-tiles
  local n=$1 name
  name=$(printf '%03d' $((n % 1000)))
  while n=$((n / 1000)) && [ "$n" -gt 0 ]; do name=$(printf 'x%03d/%s' $((n % 1000)) "$name"); done
  [ "$2" -eq 256 ] && echo "$name" || echo "$name.p/$2"
}
run_of() { # NUMBER TOTAL: how many the run of 256 holds
  local left=$(($2 - $1 * 256))
  [ "$left" -gt 256 ] && echo 256 || echo "$left"
}
field() { # HEX NUMBER [WHICH]: a field of a protobuf message: bytes in hex, a varint in decimal
  printf '%s\n' "$1" | awk -v number="$2" -v which="${3:-1}" '
    function at(i) { return (index("0123456789abcdef", substr($0, i, 1)) - 1) * 16 + index("0123456789abcdef", substr($0, i + 1, 1)) - 1 }
    function varint(  value, shift, byte) {
      value = 0; shift = 1
      do { byte = at(place); place += 2; value += (byte % 128) * shift; shift *= 128 } while (byte >= 128)
      return value
    }
    { place = 1
      while (place < length($0)) {
        key = varint(); kind = key % 8; found = (key - kind) / 8
        if (kind == 0) { value = varint() }
        else if (kind == 2) { size = varint() * 2; value = substr($0, place, size); place += size }
        else if (kind == 1) { place += 16; continue }
        else if (kind == 5) { place += 8; continue }
        else exit 1
        if (found == number && ++seen == which) { print value; exit 0 }
      } }'
}
entry_of() { # INDEX: the bytes of an entry in hex, out of its bundle
  local run=$(($1 / 256))
  hex "$room/tile/entries/$(name_of "$run" "$(run_of "$run" "$size")")" | awk -v skip=$(($1 % 256)) '
    function at(i) { return (index("0123456789abcdef", substr($0, i, 1)) - 1) * 16 + index("0123456789abcdef", substr($0, i + 1, 1)) - 1 }
    { place = 1
      while (skip-- > 0) place += 4 + (at(place) * 256 + at(place + 2)) * 2
      print substr($0, place + 4, (at(place) * 256 + at(place + 2)) * 2) }'
}
member_of() { # INDEX SUFFIX: a file out of the bundle's bodies
  local run=$(($1 / 256))
  tar -xOf "$room/bodies/$(name_of "$run" "$(run_of "$run" "$size")").tar" "$1.$2" 2>/dev/null
}
tile_of() { # LEVEL NUMBER: hashes in hex, one a line
  hex "$room/tile/$1/$(name_of "$2" "$(run_of "$2" $((size >> (8 * $1))))")" | fold -w 64
  echo
}
key_of() { # VKEY: its public key as PEM
  local rest=${1#*+} # the base64 may hold a plus itself
  { echo 302a300506032b6570032100; echo "${rest#*+}" | base64 -d | tail -c 32 | hex; } | tr -d '\n' | unhex |
    openssl pkey -pubin -inform DER 2>/dev/null
}
line_of() { # VKEY: what its signature line on the checkpoint carries behind the key id, in hex
  local name=${1%%+*} rest=${1#*+}
  awk -v name="$name" '$1 == "—" && $2 == name { print $3 }' "$room/checkpoint" | while read -r line; do
    raw=$(echo "$line" | base64 -d | hex)
    [ "${raw:0:8}" = "${rest%%+*}" ] && echo "${raw:8}"
  done | head -n 1
}

# 1 the files are those that MANIFEST lists
awk -F'\t' '{print $3"  "$1}' MANIFEST | sha256sum --quiet -c - >&2
say $? "every file is as MANIFEST says"

# 2 the checkpoint: text above the empty line; the log signed the text, the other side text and time
sed '/^$/,$d' "$room/checkpoint" > "$work/text"
size=$(sed -n 2p "$work/text") root=$(sed -n 3p "$work/text" | base64 -d | hex)
[ "$(sed -n 1p "$work/text")" = "$origin" ] && [ "$index" -lt "$size" ]
say $? "the checkpoint is of $origin and covers $size entries, $index among them"
key_of "$log_vkey" > "$work/log.pem"
line_of "$log_vkey" | unhex > "$work/sig"
openssl pkeyutl -verify -rawin -pubin -inkey "$work/log.pem" -in "$work/text" -sigfile "$work/sig" >/dev/null 2>&1
say $? "the log's own key signed the checkpoint"
key_of "$cosigner_vkey" > "$work/cosigner.pem"
line=$(line_of "$cosigner_vkey")
at=$((16#${line:0:16}))
{ printf 'cosignature/v1\ntime %d\n' "$at"; cat "$work/text"; } > "$work/cosigned"
printf '%s' "${line:16}" | unhex > "$work/sig"
openssl pkeyutl -verify -rawin -pubin -inkey "$work/cosigner.pem" -in "$work/cosigned" -sigfile "$work/sig" >/dev/null 2>&1
say $? "the other side cosigned it, by its own clock at $(date -u -d "@$at" +%FT%TZ)"

# 3 the entry hashes to its leaf, and that tile's root stands in the tile above it, up to the edge of the tree
entry=$(entry_of "$index")
here=$(printf '00%s' "$entry" | sha256)
number=$index level=0 joined=0
while :; do
  run=$((number / 256)) count=$(run_of $((number / 256)) $((size >> (8 * level))))
  mapfile -t hashes < <(tile_of "$level" "$run")
  [ "$here" = "${hashes[number % 256]}" ] || joined=1
  [ "$count" -eq 256 ] || break # it is at the edge: step 4 takes it into the root
  stack=("${hashes[@]:0:256}")
  while [ ${#stack[@]} -gt 1 ]; do
    above=()
    for ((i = 0; i < ${#stack[@]}; i += 2)); do above+=("$(node "${stack[i]}" "${stack[i + 1]}")"); done
    stack=("${above[@]}")
  done
  here=${stack[0]} number=$run level=$((level + 1))
done
say $joined "the entry is the leaf $index of the tiles"

# 4 the tiles at the edge give the root of the checkpoint
heights=() nodes=()
top=0
while [ $((size >> (8 * (top + 1)))) -gt 0 ]; do top=$((top + 1)); done
for ((level = top; level >= 0; level--)); do
  total=$((size >> (8 * level)))
  edge=$((total % 256))
  [ "$edge" -gt 0 ] || continue
  mapfile -t hashes < <(tile_of "$level" $((total / 256)))
  for ((i = 0; i < edge; i++)); do
    hash=${hashes[i]} height=$((8 * level))
    while [ ${#nodes[@]} -gt 0 ] && [ "${heights[-1]}" -eq "$height" ]; do
      hash=$(node "${nodes[-1]}" "$hash") height=$((height + 1))
      unset 'nodes[-1]' 'heights[-1]'
    done
    nodes+=("$hash") heights+=("$height")
  done
done
hash=${nodes[-1]}
for ((i = ${#nodes[@]} - 2; i >= 0; i--)); do hash=$(node "${nodes[i]}" "$hash"); done
[ "$hash" = "$root" ]
say $? "the tiles give the checkpoint's root"

# 5 the envelope: an announced key signed the pre-authentication encoding, and its chain leads to the region's root
envelope=$(field "$entry" 2)
payload=$(field "$envelope" 1)
type=$(field "$envelope" 2 | unhex)
{ printf 'DSSEv1 %d %s %d ' "${#type}" "$type" $((${#payload} / 2)); printf '%s' "$payload" | unhex; } > "$work/pae"
logged=$(field "$(field "$entry" 3)" 1)
announcement=$(field "$(member_of "$announced_at" body | hex)" 16)
signed=1
for ((s = 1; ; s++)); do
  signature=$(field "$envelope" 3 "$s")
  [ -n "$signature" ] || break
  keyid=$(field "$signature" 1 | unhex)
  for ((k = 1; ; k++)); do
    key=$(field "$announcement" 1 "$k")
    [ -n "$key" ] || break
    [ "$(field "$key" 2 | unhex)" = "$keyid" ] || continue
    field "$key" 4 1 | unhex | openssl x509 -inform DER -out "$work/leaf.pem" 2>/dev/null || continue
    cp "$work/leaf.pem" "$work/above.pem" # openssl refuses an empty file; the leaf itself is no issuer of anything
    for ((c = 2; ; c++)); do
      der=$(field "$key" 4 "$c")
      [ -n "$der" ] || break
      printf '%s' "$der" | unhex | openssl x509 -inform DER >> "$work/above.pem"
    done
    field "$signature" 2 | unhex > "$work/sig"
    openssl dgst -sha256 -verify <(openssl x509 -in "$work/leaf.pem" -pubkey -noout) -signature "$work/sig" "$work/pae" >/dev/null 2>&1 &&
      openssl verify -attime "$logged" -CAfile "$roots" -untrusted "$work/above.pem" "$work/leaf.pem" >/dev/null 2>&1 && signed=0
  done
done
say $signed "the region's key signed the statement, under a chain that was valid on $(date -u -d "@$logged" +%FT%TZ)"

# 6 the body is the one that was stated
if member_of "$index" salt > "$work/salt" && [ -s "$work/salt" ]; then
  member_of "$index" body > "$work/body"
  digest=$(cat "$work/salt" "$work/body" | sha256sum | cut -d' ' -f1)
  [ "$digest" = "$(field "$(field "$payload" 9)" 2)" ]
  say $? "salt and body hash to the commitment in the statement: record $(field "$payload" 4 | unhex), revision $(field "$payload" 5)"
else
  run=$((index / 256))
  reason=$(tar -xOf "$room/bodies/$(name_of "$run" "$(run_of "$run" "$size")").tar" absent.tsv | awk -F'\t' -v i="$index" '$1 == i { print $2 }')
  echo "-     the body is not here: ${reason:-nobody says why}"
  [ -n "$reason" ] || failed=1
fi
exit $failed
