package dashboard

import "kaylehooks/internal/access"

// coreRoutes lists the pages of getting in, the overview and the endpoints. The scope is the least that opens the page;
// the room behind it checks again.
func coreRoutes(r router) {
	r.public("GET /setup", showSetup)
	r.public("POST /setup", doSetup)
	r.public("GET /sign-in", showSignIn)
	r.public("POST /sign-in", doSignIn)
	r.route("POST /sign-out", "", doSignOut)
	r.route("GET /reauthenticate", "", showReauthenticate)
	r.route("POST /reauthenticate", "", doReauthenticate)
	r.route("POST /settings/zone", "", doZone)
	r.route("POST /settings/live", "", doLive)

	r.route("GET /{$}", access.WebhooksRead, showOverview)
	r.route("GET /attention", access.WebhooksRead, showAttention)

	r.route("GET /endpoints", access.WebhooksRead, listEndpoints)
	r.route("GET /endpoints/pause", access.WebhooksWrite, askPauseLabelled)
	r.route("POST /endpoints/pause", access.WebhooksWrite, pauseLabelled)
	r.route("GET /endpoints/resume", access.WebhooksWrite, askResumeLabelled)
	r.route("POST /endpoints/resume", access.WebhooksWrite, resumeLabelled)
	r.route("GET /endpoints/new", access.WebhooksWrite, newEndpoint)
	r.route("POST /endpoints", access.WebhooksWrite, createEndpoint)
	r.route("GET /endpoints/{id}", access.WebhooksRead, showEndpoint)
	r.route("POST /endpoints/{id}", access.WebhooksWrite, updateEndpoint)
	r.route("GET /endpoints/{id}/overview", access.WebhooksRead, showEndpoint)
	r.route("GET /endpoints/{id}/deliveries", access.WebhooksRead, endpointDeliveries)
	r.route("GET /endpoints/{id}/deliveries/new", access.WebhooksRead, newEndpointDeliveries)
	r.route("GET /endpoints/{id}/settings", access.WebhooksRead, editEndpoint)
	r.route("GET /endpoints/{id}/activity", access.WebhooksRead, endpointActivity)
	r.route("POST /endpoints/{id}/check", access.WebhooksWrite, checkConnection)
	r.route("POST /endpoints/{id}/test", access.WebhooksWrite, testEndpoint)
	r.route("POST /endpoints/{id}/pause", access.WebhooksWrite, pauseEndpoint)
	r.route("POST /endpoints/{id}/resume", access.WebhooksWrite, resumeEndpoint)
	r.route("GET /endpoints/{id}/recover", access.WebhooksWrite, recoverEndpoint)
	r.route("GET /endpoints/{id}/delete", access.WebhooksWrite, askDeleteEndpoint)
	r.route("POST /endpoints/{id}/delete", access.WebhooksWrite, deleteEndpoint)

	r.route("GET /endpoints/{id}/keys", access.WebhooksRead, showKeys)
	r.route("POST /endpoints/{id}/keys", access.WebhooksWrite, addKey)
	r.route("POST /endpoints/{id}/keys/check", access.WebhooksWrite, checkKey)
	r.route("GET /keys/{id}/jwk", access.WebhooksRead, downloadKey)
	r.route("GET /keys/{id}/deactivate", access.WebhooksWrite, askDeactivateKey)
	r.route("POST /keys/{id}/deactivate", access.WebhooksWrite, deactivateKey)
	r.route("GET /keys/{id}/reactivate", access.WebhooksWrite, askReactivateKey)
	r.route("POST /keys/{id}/reactivate", access.WebhooksWrite, reactivateKey)
	r.route("POST /keys/{id}/challenge", access.WebhooksWrite, challengeKey)
	r.route("POST /keys/{id}/verify", access.WebhooksWrite, verifyKey)

	r.route("GET /endpoints/{id}/secret", access.WebhooksRead, showSecret)
	r.route("POST /endpoints/{id}/secret/rotate", access.WebhooksWrite, rotateSecret)
	r.route("GET /endpoints/{id}/secret/end-overlap", access.WebhooksWrite, askEndOverlap)
	r.route("POST /endpoints/{id}/secret/end-overlap", access.WebhooksWrite, endOverlap)
	r.route("POST /endpoints/{id}/secret/reveal", access.WebhooksSecrets, revealSecret)

	r.route("/", "", func(*page) error { return errNoPage })
}
