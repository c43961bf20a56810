#!/bin/sh
# Starts a server only on a checkpoint that was audited and signed by the expected publisher.
#
#   load_model.sh hf://org/repo@COMMIT/model-Q4_K_M.gguf /srv/models/today -- llama-server --port 8080
#   MODEL=model-Q4_K_M.gguf load_model.sh oci:LAYOUT:TAG /srv/models/today -- llama-server --port 8080
#
# The release is a file, a folder, hf://… or oci:…; of a folder or a layout, MODEL is the file in it that
# the server loads, and without MODEL the server gets the folder.
# --out copies what was verified into a new folder that this user owns: the server loads those bytes,
# whatever becomes of the original. Without a pass (exit code other than 0) there is no folder.
set -eu

: "${SIGNER:=https://github.com/ORG/REPO/.github/workflows/release-model.yml@refs/tags/model-v1}"
: "${ISSUER:=https://token.actions.githubusercontent.com}"

release=$1
folder=$2
shift 2
[ "${1:-}" = "--" ] && shift

told=$(qaudit verify "$release" --out "$folder" --require-audit --identity "$SIGNER" --issuer "$ISSUER" \
  ${TRUST_CONFIG:+--trust-config "$TRUST_CONFIG"} --json)
# qaudit says where it lies: how a release is called tells nothing of its files
checkpoint=$(printf '%s' "$told" | python3 -c 'import json, sys; print(json.load(sys.stdin)["load_from"])')
checkpoint=$checkpoint${MODEL:+/$MODEL}
if [ ! -e "$checkpoint" ]; then
  echo "$checkpoint: is not in the release; MODEL names a file of it" >&2
  exit 2
fi

exec "$@" --model "$checkpoint"
