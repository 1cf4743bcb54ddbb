package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// minDialShare is the least time given to one of several addresses, as long as there is that much left.
const minDialShare = 2 * time.Second

// rootedResolver asks for names as they are: the search list of this host is no business of a customer's URL.
type rootedResolver struct{ *net.Resolver }

// LookupNetIP resolves host as a fully qualified name; a single label, which only development uses, is left alone.
func (r rootedResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if strings.Contains(host, ".") && !strings.HasSuffix(host, ".") {
		host += "."
	}
	return r.Resolver.LookupNetIP(ctx, network, host) //nolint:wrapcheck // a Resolver's errors are classified as they are
}

// dialPlain opens a TCP connection to a permitted address.
//
// The transport gives dials a context that outlives the request. The recorder's one does not, so that no connection
// attempt goes on after the deadline.
func (c *Client) dialPlain(detached context.Context, _, hostPort string) (net.Conn, error) {
	rec := recorderOf(detached)
	ctx := rec.ctx
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, &dialError{KindInternal, err}
	}
	addrs, err := c.resolve(ctx, rec, host) //nolint:contextcheck // see above
	if err != nil {
		return nil, err
	}
	rec.begin(connecting)
	conn, err := c.dialAny(ctx, addrs, port) //nolint:contextcheck // see above
	if err != nil {
		return nil, err
	}
	rec.connected(conn.RemoteAddr())
	return conn, nil
}

// dialTLS opens a TCP connection and verifies the certificate for the URL's host.
func (c *Client) dialTLS(detached context.Context, network, hostPort string) (net.Conn, error) {
	conn, err := c.dialPlain(detached, network, hostPort)
	if err != nil {
		return nil, err
	}
	rec := recorderOf(detached)
	config := c.tls.Clone()
	if config.ServerName, _, err = net.SplitHostPort(hostPort); err != nil {
		_ = conn.Close()
		return nil, &dialError{KindInternal, err}
	}
	rec.begin(securing)
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(rec.ctx); err != nil { //nolint:contextcheck // see dialPlain
		_ = conn.Close()
		return nil, &dialError{kindOfHandshake(err), err}
	}
	rec.begin(ready)
	return secured, nil
}

// resolve returns the addresses of host, all of them permitted. It is called once per new connection; the addresses
// are dialled as such, so that nothing resolves the name a second time.
func (c *Client) resolve(ctx context.Context, rec *recorder, host string) ([]netip.Addr, error) {
	addrs := []netip.Addr{}
	if literal, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, literal)
	} else {
		rec.begin(resolving)
		if addrs, err = c.resolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, &dialError{KindDNS, err}
		}
		if len(addrs) == 0 {
			return nil, &dialError{KindDNS, errors.New("no addresses")}
		}
	}
	for i, addr := range addrs {
		if !c.policy.Permits(addr) {
			rec.begin(refused)
			return nil, &dialError{KindBlockedAddress, fmt.Errorf("address %s of the host is not permitted", addr)}
		}
		addrs[i] = addr.Unmap()
	}
	return addrs, nil
}

// dialAny tries the addresses in turn. Each has its share of the time that is left, so that one dead address does not
// use up all of it. The first error counts, unless it only says that this host has no route of that family.
func (c *Client) dialAny(ctx context.Context, addrs []netip.Addr, port string) (net.Conn, error) {
	dialer := &net.Dialer{ControlContext: c.control}
	var first error
	for i, addr := range addrs {
		conn, err := dialOne(ctx, dialer, net.JoinHostPort(addr.String(), port), len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		if first == nil || errors.Is(first, syscall.ENETUNREACH) {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, &dialError{kindOfDial(first), first}
}

func dialOne(ctx context.Context, dialer *net.Dialer, address string, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		share := max(time.Until(deadline)/time.Duration(left), minDialShare)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	return dialer.DialContext(ctx, "tcp", address) //nolint:wrapcheck // classified by the caller
}

// control is the last word: it judges the very address that the socket is about to connect to.
func (c *Client) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" || !c.policy.Permits(target.Addr()) {
		return errBlocked
	}
	return nil
}

var errBlocked = errors.New("egress: address not permitted")
