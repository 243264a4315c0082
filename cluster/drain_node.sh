#!/usr/bin/env bash
# Tells Ray that this node is about to be taken away, so that engines finish their rows and training takes a checkpoint.
#
#   drain_node.sh            now: before a pod ends (preStop); returns when Ray has left the node, or after 90 s
#   drain_node.sh aws        as soon as EC2 announces that it reclaims the spot instance, two minutes before
#   drain_node.sh gcp        as soon as Compute Engine preempts the instance, half a minute before
set -euo pipefail

# Where the clouds' own libraries look too, set or not.
aws=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
gcp=http://${GCE_METADATA_HOST:-metadata.google.internal}

get() { wget --quiet --tries=1 --timeout=2 --output-document=- "$@"; }

is_reclaimed_by_aws() {
  local token
  token=$(get --method=PUT --header='X-aws-ec2-metadata-token-ttl-seconds: 60' "$aws/latest/api/token") || return 1
  get --header="X-aws-ec2-metadata-token: $token" "$aws/latest/meta-data/spot/instance-action" > /dev/null
}

is_reclaimed_by_gcp() {
  [ "$(get --header='Metadata-Flavor: Google' "$gcp/computeMetadata/v1/instance/preempted")" = TRUE ]
}

drain() { # within $1 seconds, because of $2
  ray drain-node --reason DRAIN_NODE_REASON_PREEMPTION --reason-message "$2" --deadline-remaining-seconds "$1"
}

case ${1:-} in
  aws) until is_reclaimed_by_aws; do sleep 5; done && drain 110 "the spot instance is reclaimed" ;;
  gcp) until is_reclaimed_by_gcp; do sleep 2; done && drain 25 "the instance is preempted" ;;
  "")
    drain 90 "the node is taken away"
    for ((second = 0; second < 90; second++)); do
      grep -qsx raylet /proc/[0-9]*/comm || break
      sleep 1
    done
    ;;
  *)
    echo "usage: $0 [aws|gcp]" >&2
    exit 2
    ;;
esac
