#!/usr/bin/env bash
# API client: curl and jq. Settings: KAYLEHOOKS_URL, KAYLEHOOKS_API_KEY.
#   client.sh endpoint URL PUBLIC_JWK_FILE   create an endpoint and register the key; prints the signing secret, once
#   client.sh session                        create a session; send the person to its verification_url
#   client.sh failed                         go through all failed deliveries and send each again
set -euo pipefail
: "${KAYLEHOOKS_URL:?}" "${KAYLEHOOKS_API_KEY:?}"

answer=$(mktemp)
head=$(mktemp)
trap 'rm -f "$answer" "$head"' EXIT

# call METHOD PATH [BODY] [IDEMPOTENCY_KEY]: leaves the response in $answer and its status in $status, 000 if there is none.
# 429 is waited out; the key of the request makes it safe to send it again whenever no answer came.
call() {
	local method=$1 path=$2 body=${3-} key=${4-} tries
	for tries in 1 2 3 4 5; do
		: >"$answer" >"$head" # nothing is left of the try before
		# The header with the API key comes from standard input: arguments show in ps.
		status=$(printf 'Authorization: Bearer %s\n' "$KAYLEHOOKS_API_KEY" |
			curl --silent --show-error --max-time 30 --request "$method" --header @- \
				${key:+--header "Idempotency-Key: $key"} \
				${body:+--header "Content-Type: application/json" --data-raw "$body"} \
				--dump-header "$head" --output "$answer" --write-out '%{http_code}' "$KAYLEHOOKS_URL$path") || status=000
		case $status in
		2*) return 0 ;;
		000 | 429 | 5*) [ "$tries" = 5 ] || sleep "$(sed -n 's/^retry-after: *\([0-9]*\).*/\1/Ip' "$head" | grep . || echo "$tries")" ;;
		*) break ;;
		esac
	done
	return 1
}

refused() {
	echo "client: $status $(jq -c .error "$answer" 2>/dev/null) $(grep -i '^x-request-id' "$head")" >&2
	exit 1
}

new_key() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

case ${1-} in
endpoint)
	key=$(jq -c '{key_id: .kid, algorithm: "RSA-OAEP-256", key_type: "RSA", jwk: .}' "$3")
	call POST /v1/webhooks/endpoints "$(jq -nc --arg url "$2" '{url: $url}')" "$(new_key)" || refused
	created=$(jq -c '{endpoint_id: .data.endpoint.id, signing_secret: .data.signing_secret}' "$answer")
	echo "$created" # also when the key is refused: the secret is shown once
	call POST "/v1/webhooks/endpoints/$(jq -r .endpoint_id <<<"$created")/keys" "$key" "$(new_key)" || refused
	;;
session)
	call POST /v1/sessions '{"share_fields":{"family_name":{"required":true,"reason":"The contract needs your name"}}}' "$(new_key)" || refused
	jq -c '{session_id: .data.id, verification_url: .data.verification_url}' "$answer"
	;;
failed)
	cursor=""
	while :; do
		call GET "/v1/webhooks/deliveries?status=failed&limit=100${cursor:+&starting_after=$cursor}" || refused
		cursor=$(jq -r '.pagination.next_cursor // empty' "$answer")
		for delivery in $(jq -r '.data[].id' "$answer"); do
			if call POST "/v1/webhooks/deliveries/$delivery/retry" "" "$(new_key)"; then
				jq -c '{delivery_id: .data.id, status: .data.status}' "$answer"
			elif [ "$status" = 409 ]; then # such as WEBHOOK_PAYLOAD_EXPIRED: nothing is left to send
				jq -c --arg id "$delivery" '{delivery_id: $id, error: .error.code}' "$answer"
			else
				refused
			fi
		done
		[ -n "$cursor" ] || break
	done
	;;
*)
	sed -n '2,5s/^# //p' "$0" >&2
	exit 2
	;;
esac
