// Package api is the JSON door: every /v1 route of contract section 8.6, and the OpenAPI document of them.
//
//	request ─► outer.go: route, key, rate, scope, body ─► huma: parameters, body shape ─► <noun>.go ─► a room
//	response ◄── outer.go: one envelope, buffered ◄────── errors.go ◄──────────────────────────────────┘
//
// Each noun has one file: its routes in one visible list, the wire structs it shows, and handlers that call one
// operation of a room. Rules live in the rooms; what is here is the wire format and the order of checks (section 8.2).
package api
