#!/bin/sh
# Makes the buckets in SeaweedFS and gives each key its rights, the same as in policy-*.json. It may
# be run again; rights and keys are only ever added (docs/security.md says how to take one away).
#
#   WEED_MASTER                      the master, host:port
#   LAKE_KEY, LAKE_SECRET            the pods' key pair; likewise AIRBYTE_, BACKUP_, READER_, PR_
#                                    (pull requests) and SITE_. Who has none gets no identity.
#   SUFFIX                           appended to buckets and identities, but for landing: -staging
set -eu
SUFFIX=${SUFFIX:-}
errors=$(mktemp)

grant() { # identity, key, secret, bucket or part of one, actions
    if [ -n "$2" ]; then
        echo "s3.configure -user $1$SUFFIX -access_key $2 -secret_key $3 -buckets $4 -actions $5 -apply"
    fi
}

commands() {
    for bucket in landing "lakehouse$SUFFIX" "artifacts$SUFFIX" "backup$SUFFIX"; do
        echo "s3.bucket.create -name $bucket"
    done
    grant lake "${LAKE_KEY:-}" "${LAKE_SECRET:-}" landing Read,List
    grant lake "${LAKE_KEY:-}" "${LAKE_SECRET:-}" "lakehouse$SUFFIX" Read,List,Write
    grant lake "${LAKE_KEY:-}" "${LAKE_SECRET:-}" "artifacts$SUFFIX" Read,List,Write
    grant airbyte "${AIRBYTE_KEY:-}" "${AIRBYTE_SECRET:-}" landing Read,List,Write
    grant backup "${BACKUP_KEY:-}" "${BACKUP_SECRET:-}" "backup$SUFFIX" Read,List,Write
    grant reader "${READER_KEY:-}" "${READER_SECRET:-}" "lakehouse$SUFFIX" Read,List
    grant pr "${PR_KEY:-}" "${PR_SECRET:-}" landing Read,List
    grant pr "${PR_KEY:-}" "${PR_SECRET:-}" "lakehouse$SUFFIX" Read,List
    grant pr "${PR_KEY:-}" "${PR_SECRET:-}" "lakehouse$SUFFIX/branches/*" Write
    grant pr "${PR_KEY:-}" "${PR_SECRET:-}" "artifacts$SUFFIX" Read
    grant site "${SITE_KEY:-}" "${SITE_SECRET:-}" "artifacts$SUFFIX" Read,List
}

# The shell prints what it was told, keys included. That a bucket is there already is an error to it.
status=0
commands | weed shell -master="$WEED_MASTER" >/dev/null 2>"$errors" || status=$?
if grep -E '^(error|unknown command):' "$errors" | grep -v 'already exist' >&2 ||
    { [ "$status" -ne 0 ] && ! grep -q 'already exist' "$errors"; }; then
    echo "SeaweedFS at $WEED_MASTER refused the above: buckets or rights are missing." >&2
    exit 1
fi
echo "Buckets and identities are there."
