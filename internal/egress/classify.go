package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// ErrorKind says why a request did not succeed (contract section 7.8).
type ErrorKind = string

// The kinds that a request can end with.
const (
	KindHTTPStatus      ErrorKind = "http_status"      // a status other than 2xx and 3xx
	KindRedirectRefused ErrorKind = "redirect_refused" // 3xx
	KindTimeoutConnect  ErrorKind = "timeout_connect"  // deadline before the connection, TLS included, was ready
	KindTimeoutResponse ErrorKind = "timeout_response" // deadline after that
	KindDNS             ErrorKind = "dns"              // name not resolved, or not in time
	KindTLS             ErrorKind = "tls"              // handshake or certificate
	KindRefused         ErrorKind = "refused"          // connection refused, or no way to the host
	KindReset           ErrorKind = "reset"            // connection broken, or what came over it is not HTTP
	KindBlockedAddress  ErrorKind = "blocked_address"  // address or URL not permitted; nothing was sent
	KindInternal        ErrorKind = "internal"         // a fault of ours, such as a shutdown in the middle
)

// dialError is a failure to get a connection, classified where it happened.
type dialError struct {
	kind ErrorKind
	err  error
}

func (e *dialError) Error() string { return e.kind + ": " + e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

func kindOfStatus(status int) ErrorKind {
	switch status / 100 {
	case 2:
		return ""
	case 3:
		return KindRedirectRefused
	}
	return KindHTTPStatus
}

// classify turns an error of the transport into a kind. ctx is the request's own context: whether it has run out tells
// a deadline from a network error, and how far the request had come tells the deadlines apart.
func classify(err error, ctx context.Context, reached phase) ErrorKind { //nolint:revive // the error is the subject
	if errors.Is(err, errBadURL) {
		return KindBlockedAddress
	}
	var dial *dialError
	if errors.As(err, &dial) && dial.kind == KindBlockedAddress {
		return KindBlockedAddress // for certain, even if time ran out at that moment
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded) || isTimeout(err):
		return kindOfTimeout(reached)
	case ctx.Err() != nil: // the caller gave up
		return KindInternal
	case dial != nil:
		return dial.kind
	case reached == sending:
		return KindReset
	}
	return KindInternal // before any connection: the request itself is not valid
}

func kindOfTimeout(reached phase) ErrorKind {
	switch reached {
	case resolving:
		return KindDNS
	case refused:
		return KindBlockedAddress
	case sending:
		return KindTimeoutResponse
	case nothing, connecting, securing, ready:
	}
	return KindTimeoutConnect
}

func kindOfDial(err error) ErrorKind {
	switch {
	case errors.Is(err, errBlocked):
		return KindBlockedAddress
	case isTimeout(err):
		return KindTimeoutConnect
	case isBroken(err):
		return KindReset
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ENETDOWN):
		return KindRefused
	}
	return KindInternal // out of sockets, for example
}

// kindOfHandshake is called for errors of the handshake alone, so what is neither time nor network is TLS: alerts,
// certificates, and servers that do not speak it.
func kindOfHandshake(err error) ErrorKind {
	switch {
	case isTimeout(err):
		return KindTimeoutConnect
	case isBroken(err):
		return KindReset
	}
	return KindTLS
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.ETIMEDOUT) || errors.As(err, &timeout) && timeout.Timeout()
}

func isBroken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}
