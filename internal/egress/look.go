package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

// Sight is what Look saw of a receiver. What a stranger wrote is in none of it but RedirectHost, which is a host name, and
// the date of the certificate.
type Sight struct {
	StatusCode    int       // of the answer to HEAD; 0 when there was none
	ErrorKind     ErrorKind // "" for 2xx
	RemoteAddress string    // "ip:port" connected to, or ""
	TLSVersion    uint16    // as in crypto/tls; 0 when the handshake was not completed
	// Expires is the end of the receiver's own certificate, also of one that was refused; zero when it showed none.
	Expires time.Time
	// Certificate says what is wrong with the certificate; "" when it is good or was not seen.
	Certificate CertificateFault
	// RedirectHost is where a 3xx answer leads; "" when it names no host that can be read. Nothing was sent there.
	RedirectHost string
}

// CertificateFault is why a certificate was refused.
type CertificateFault string

// The reasons to refuse a certificate.
const (
	CertificateExpired   CertificateFault = "expired" // or not valid yet
	CertificateHost      CertificateFault = "host"    // issued for other names
	CertificateAuthority CertificateFault = "authority"
	CertificateInvalid   CertificateFault = "invalid"
)

const maxHostName = 253

// Look asks what a Post to the URL would meet, by the same rules and over the same transport: the name is resolved, every
// address judged, TLS verified. It sends one HEAD request that carries nothing but the URL, follows no redirect and reads
// no body. Like Post it never fails, and takes no longer than the client's timeout.
//
// It sees the state of now only on a new connection, so the client should keep none alive.
func (c *Client) Look(ctx context.Context, rawURL string) Sight {
	var seen Sight
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if secured, ok := info.Conn.(*tls.Conn); ok {
			state := secured.ConnectionState()
			seen.TLSVersion, seen.Expires = state.Version, state.PeerCertificates[0].NotAfter
		}
	}})
	result, err := c.exchange(ctx, http.MethodHead, Request{URL: rawURL}, func(_ *Result, response *http.Response) {
		_ = response.Body.Close()
		if response.StatusCode/100 == 3 {
			seen.RedirectHost = redirectHost(rawURL, response.Header.Get("Location"))
		}
	})
	seen.StatusCode, seen.ErrorKind, seen.RemoteAddress = result.StatusCode, result.ErrorKind, result.RemoteAddress
	if refused := (*tls.CertificateVerificationError)(nil); errors.As(err, &refused) {
		seen.Certificate = faultOf(refused.Err)
		if len(refused.UnverifiedCertificates) > 0 {
			seen.Expires = refused.UnverifiedCertificates[0].NotAfter
		}
	}
	return seen
}

func faultOf(err error) CertificateFault {
	var (
		host      x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &host):
		return CertificateHost
	case errors.As(err, &authority):
		return CertificateAuthority
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return CertificateExpired
	}
	return CertificateInvalid
}

// redirectHost is the host of location as seen from the URL, or "" when it is no plain host name or address.
func redirectHost(from, location string) string {
	base, err := url.Parse(from)
	if err != nil || location == "" {
		return ""
	}
	to, err := base.Parse(location)
	if err != nil {
		return ""
	}
	host := strings.ToLower(to.Hostname())
	if len(host) > maxHostName || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.:") != "" {
		return ""
	}
	return host
}
