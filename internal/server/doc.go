// Package server is the roof: the root mux over the doors, security headers, the access log, health, metrics, and asynq's
// web monitor behind our sign-in.
package server
