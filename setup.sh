#!/bin/sh
# Creates the secrets that compose.yaml mounts, each a file in secrets/. Run it before the first
# `docker compose up`. Running it again is safe: existing secrets are kept.
#
# Poe tokens and access tokens come from the variables POE_TOKENS and ACCESS_TOKENS, or from .env.
# Edit their files to change them later, one per line. The Redis password, the fingerprint key, the
# key of Poe tokens in Redis and, if none is given, an access token are generated.
set -eu
cd "$(dirname "$0")"
umask 077

random() {
    od -An -tx1 -N24 /dev/urandom | tr -d ' \n'
}

# given NAME: print the value of a variable, or its value in .env, one entry per line.
given() {
    eval "value=\${$1:-}"
    if [ -z "$value" ] && [ -f .env ]; then
        value=$(sed -n "s/^ *$1=//p" .env | tail -n 1 | tr -d "\"'\r")
    fi
    printf '%s' "$value" | tr ',' '\n' | sed 's/^ *//; s/ *$//; /^$/d'
}

# Compose finds the secrets through SECRETS in .env, and refuses to start without it.
directory=${SECRETS:-$(given SECRETS)}
if [ -z "$directory" ]; then
    directory=secrets
    if [ -s .env ] && [ -n "$(tail -c 1 .env)" ]; then echo >>.env; fi
    echo "SECRETS=$directory" >>.env
fi
mkdir -p "$directory"

# put NAME TEXT: write a secret. Containers run as other users, so everyone may read the file, but
# not the directory that holds it.
put() {
    printf '%s\n' "$2" >"$directory/$1"
    chmod 644 "$directory/$1"
}

missing() {
    [ ! -e "$directory/$1" ]
}

if missing poe_tokens; then
    tokens=$(given POE_TOKENS)
    put poe_tokens "${tokens:-# Your Poe API keys (poe.com/api_key), one per line.}"
fi
if missing access_tokens; then
    tokens=$(given ACCESS_TOKENS)
    put access_tokens "${tokens:-sk-$(random)}"
fi
if missing admin_token; then put admin_token "$(random)"; fi
if missing fingerprint_key; then put fingerprint_key "$(random)"; fi
if missing token_key; then
    # A key that the workers' file has is in use.
    config=${WORKER_CONFIG:-$(given WORKER_CONFIG)}
    key=$(sed -n 's/^ *tokenKey *= *"\([^":]*\)".*/\1/p' "${config:-/dev/null}" 2>/dev/null | head -n 1)
    put token_key "${key:-$(random)}"
fi
if missing redis_password; then put redis_password "$(random)"; fi

password=$(cat "$directory/redis_password")
put redis_url "redis://:$password@redis:6379/0"
put redis_sentinel_url "redis+sentinel://:$password@sentinel-1,sentinel-2,sentinel-3/0?service=poe2gpt&sentinel_password=$password"

echo "The secrets are in $directory/. Clients use a key from $directory/access_tokens."
echo "The admin page, http://127.0.0.1:3701, asks for the token in $directory/admin_token."
if ! grep -q '^[^#]' "$directory/poe_tokens"; then
    echo "Now put your Poe API keys into $directory/poe_tokens, one per line."
fi
if [ -f .env ] && grep -Eq '^ *(POE_TOKENS|ACCESS_TOKENS)=.' .env; then
    echo "POE_TOKENS and ACCESS_TOKENS in .env are no longer used: remove them."
fi
