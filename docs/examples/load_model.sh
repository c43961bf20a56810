#!/bin/sh
# Starts a server only on a checkpoint that was audited and signed by the expected publisher.
#
#   load_model.sh hf://org/repo@COMMIT/model-Q4_K_M.gguf /srv/models/today -- llama-server --port 8080
#
# --out copies what was verified into a new folder that this user owns: the server loads those bytes,
# whatever becomes of the original. Without a pass (exit code other than 0) there is no folder.
set -eu

: "${SIGNER:=https://github.com/ORG/REPO/.github/workflows/release-model.yml@refs/tags/model-v1}"
: "${ISSUER:=https://token.actions.githubusercontent.com}"

release=$1
folder=$2
shift 2
[ "${1:-}" = "--" ] && shift

qaudit verify "$release" --out "$folder" --require-audit --identity "$SIGNER" --issuer "$ISSUER" \
  ${TRUST_CONFIG:+--trust-config "$TRUST_CONFIG"}

exec "$@" --model "$folder/$(basename "$release")"
