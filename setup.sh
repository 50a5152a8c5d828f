#!/bin/sh
# Makes the secrets that compose.yaml mounts, each a file under secrets/. Run it before the first
# `docker compose up`, and again whenever you like: what is there already stays as it is.
#
# Poe tokens and access tokens are taken from the variables POE_TOKENS and ACCESS_TOKENS, or from
# an .env that has them, and can be changed in their files later, one a line. An access token, the
# password of Redis and the key of fingerprints are made up.
set -eu
cd "$(dirname "$0")"
umask 077

random() {
    od -An -tx1 -N24 /dev/urandom | tr -d ' \n'
}

# given NAME: the value of a variable, or what .env says that it is, one entry a line.
given() {
    eval "value=\${$1:-}"
    if [ -z "$value" ] && [ -f .env ]; then
        value=$(sed -n "s/^ *$1=//p" .env | tail -n 1 | tr -d "\"'\r")
    fi
    printf '%s' "$value" | tr ',' '\n' | sed 's/^ *//; s/ *$//; /^$/d'
}

# Compose reads where the secrets are from .env, and starts nothing before it says so.
directory=${SECRETS:-$(given SECRETS)}
if [ -z "$directory" ]; then
    directory=secrets
    if [ -s .env ] && [ -n "$(tail -c 1 .env)" ]; then echo >>.env; fi
    echo "SECRETS=$directory" >>.env
fi
mkdir -p "$directory"

# put NAME TEXT: a secret. Containers run as other users, so the file is for all to read; the
# directory is not.
put() {
    printf '%s\n' "$2" >"$directory/$1"
    chmod 644 "$directory/$1"
}

missing() {
    [ ! -e "$directory/$1" ]
}

if missing poe_tokens; then
    tokens=$(given POE_TOKENS)
    put poe_tokens "${tokens:-# Your Poe API keys (poe.com/api_key), one a line.}"
fi
if missing access_tokens; then
    tokens=$(given ACCESS_TOKENS)
    put access_tokens "${tokens:-sk-$(random)}"
fi
if missing fingerprint_key; then put fingerprint_key "$(random)"; fi
if missing redis_password; then put redis_password "$(random)"; fi

password=$(cat "$directory/redis_password")
put redis_url "redis://:$password@redis:6379/0"
put redis_sentinel_url "redis+sentinel://:$password@sentinel-1,sentinel-2,sentinel-3/0?service=poe2gpt&sentinel_password=$password"

echo "The secrets are in $directory/. Clients use a key in $directory/access_tokens."
if ! grep -q '^[^#]' "$directory/poe_tokens"; then
    echo "Now put your Poe API keys into $directory/poe_tokens, one a line."
fi
if [ -f .env ] && grep -Eq '^ *(POE_TOKENS|ACCESS_TOKENS)=.' .env; then
    echo "POE_TOKENS and ACCESS_TOKENS in .env are not used any longer: take them out."
fi
