package dashboard

import "kaylehooks/internal/access"

// activityRoutes lists the pages of what happened: events, deliveries, sessions, the queue, people and the log.
//
// Taken by coreRoutes already: /settings/zone (the switch of the top bar), everything below /endpoints,
// and everything below /keys/{id}. Shared with this list: deliveryRow and auditRow (rows.go), the words for states, errors and
// routes (words.go), health (health.go), filters of a deliveries list (deliveryfilter.go), paging (paging.go), form tokens
// (forms.go) and repeated submissions (once.go).
func activityRoutes(r router) {
	r.route("GET /find", "", find)

	r.route("GET /deliveries", access.WebhooksRead, listDeliveries)
	r.route("GET /deliveries/new", access.WebhooksRead, newDeliveries)
	r.route("GET /deliveries/export", access.WebhooksRead, exportDeliveries)
	r.route("GET /deliveries/{id}", access.WebhooksRead, showDelivery)
	r.route("GET /deliveries/{id}/row", access.WebhooksRead, showDeliveryRow)
	r.route("GET /deliveries/{id}/retry", access.WebhooksWrite, askRetryDelivery)
	r.route("POST /deliveries/{id}/retry", access.WebhooksWrite, retryDelivery)

	r.route("GET /events", access.WebhooksRead, listEvents)
	r.route("GET /events/export", access.WebhooksRead, exportEvents)
	r.route("GET /events/new", access.WebhooksRead, newEvents)
	r.route("POST /events/preview", access.WebhooksWrite, previewReplay)
	r.route("POST /events/replay", access.WebhooksWrite, replayChosen)
	r.route("GET /events/{id}", access.WebhooksRead, showEvent)
	r.route("GET /events/{id}/row", access.WebhooksRead, showEventRow)
	r.route("GET /events/{id}/routes/{endpoint}", access.WebhooksRead, showRoute)
	r.route("POST /events/{id}/replay", access.WebhooksWrite, replayEvent)

	r.route("GET /jobs", access.WebhooksRead, listJobs)
	r.route("GET /jobs/new", access.WebhooksWrite, newJob)
	r.route("POST /jobs", access.WebhooksWrite, createJob)
	r.route("POST /jobs/preview", access.WebhooksWrite, previewChosen)
	r.route("GET /jobs/{id}", access.WebhooksRead, showJob)
	r.route("GET /jobs/{id}/row", access.WebhooksRead, showJobRow)
	r.route("GET /jobs/{id}/cancel", access.WebhooksWrite, askCancelJob)
	r.route("POST /jobs/{id}/cancel", access.WebhooksWrite, cancelJob)

	r.route("GET /sessions", access.SessionsRead, listSessions)
	r.route("GET /sessions/export", access.SessionsRead, exportSessions)
	r.route("GET /sessions/new", access.SessionsRead, newSessions)
	r.route("GET /sessions/{id}", access.SessionsRead, showSession)
	r.route("GET /sessions/{id}/row", access.SessionsRead, showSessionRow)
	r.route("GET /sessions/{id}/cancel", access.SessionsWrite, askCancelSession)
	r.route("POST /sessions/{id}/cancel", access.SessionsWrite, cancelSession)

	r.route("GET /queue", access.QueueRead, showQueue)
	r.route("GET /queue/{name}", access.QueueRead, showQueueTasks)
	r.route("GET /queue/{name}/tasks/{task}/run", access.QueueManage, taskRun.ask)
	r.route("POST /queue/{name}/tasks/{task}/run", access.QueueManage, taskRun.carryOut)
	r.route("GET /queue/{name}/tasks/{task}/archive", access.QueueManage, taskArchive.ask)
	r.route("POST /queue/{name}/tasks/{task}/archive", access.QueueManage, taskArchive.carryOut)
	r.route("GET /queue/{name}/tasks/{task}/delete", access.QueueManage, taskDelete.ask)
	r.route("POST /queue/{name}/tasks/{task}/delete", access.QueueManage, taskDelete.carryOut)
	r.route("GET /queue/{name}/pause", access.QueueManage, askPauseQueue)
	r.route("POST /queue/{name}/pause", access.QueueManage, pauseQueue)
	r.route("POST /queue/{name}/resume", access.QueueManage, resumeQueue)

	r.route("GET /api-keys", access.APIKeysManage, listAPIKeys)
	r.route("POST /api-keys", access.APIKeysManage, createAPIKey)
	r.route("POST /api-keys/{id}/enable", access.APIKeysManage, enableAPIKey)
	r.route("POST /api-keys/{id}/disable", access.APIKeysManage, disableAPIKey)
	r.route("GET /api-keys/{id}/rotate", access.APIKeysManage, askRotateAPIKey)
	r.route("POST /api-keys/{id}/rotate", access.APIKeysManage, rotateAPIKey)
	r.route("GET /api-keys/{id}/delete", access.APIKeysManage, askDeleteAPIKey)
	r.route("POST /api-keys/{id}/delete", access.APIKeysManage, deleteAPIKey)

	r.route("GET /members", access.MembersRead, listMembers)
	r.route("POST /members/{id}/role", access.MembersManage, changeRole)
	r.route("POST /members/{id}/suspend", access.MembersManage, suspendMember)
	r.route("POST /members/{id}/restore", access.MembersManage, restoreMember)
	r.route("GET /members/{id}/remove", access.MembersManage, askRemoveMember)
	r.route("POST /members/{id}/remove", access.MembersManage, removeMember)
	r.route("POST /members/invitations", access.MembersManage, invite)
	r.route("POST /members/invitations/{id}/resend", access.MembersManage, renewInvitation)
	r.route("POST /members/invitations/{id}/revoke", access.MembersManage, revokeInvitation)
	r.public("GET /invitations/{token}", showInvitation)
	r.public("POST /invitations/{token}", acceptInvitation)

	r.route("GET /audit", access.AuditRead, listAudit)
	r.route("GET /audit/export", access.AuditRead, exportAudit)

	r.route("GET /settings", "", showSettings)
	r.route("POST /settings/organization", access.OrganizationManage, saveOrganization)
	r.route("POST /settings/profile", "", saveProfile)
	r.route("POST /settings/password", "", savePassword)
	r.route("POST /settings/sessions/{id}/revoke", "", revokeDevice)
	r.route("POST /settings/sessions/others", "", revokeOtherDevices)

	r.route("GET /help/keyboard", "", showKeyboard)
	r.route("GET /help/receivers", access.WebhooksRead, showReceivers)
	r.route("POST /help/receivers/check", access.WebhooksRead, checkSignature)
}
