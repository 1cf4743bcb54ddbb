// Package queue is the door through which the workers come in: it rings for deliveries that are due (asynq tasks that
// hold ids and nothing else), runs the handlers, and drives the feeder and the sweeps.
//
// Redis is a doorbell. Whatever it loses, the feeder finds again in Postgres, where every row says itself when it is due.
package queue
