// Package egress sends POST requests to URLs that customers chose, and looks at what such a request would meet. It decides
// at connect time which addresses may be reached, follows nothing, keeps little of the answer, and turns every way to fail
// into one of ten kinds (contract sections 7.4, 7.5 and 7.8). It knows nothing of webhooks.
package egress
