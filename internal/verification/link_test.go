package verification_test

import (
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// link is a way to a database on which round trips are counted, over all connections: how often a client spoke after an answer.
type link struct {
	url   string
	turns atomic.Int64
}

func newLink(t *testing.T, database string) *link {
	t.Helper()
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	to := url.URL{Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: listener.Addr().String(), Path: cfg.Database, RawQuery: "sslmode=disable"}
	l := &link{url: to.String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
			server, err := (&net.Dialer{}).DialContext(context.WithoutCancel(t.Context()), network, address)
			if err != nil {
				_ = client.Close()
				continue
			}
			var answered atomic.Bool
			go carry(server, client, func() {
				if answered.Swap(false) {
					l.turns.Add(1)
				}
			})
			go carry(client, server, func() { answered.Store(true) })
		}
	}()
	return l
}

// carry copies until an end is closed, and calls before with each piece.
func carry(to, from net.Conn, before func()) {
	defer func() { _, _ = to.Close(), from.Close() }()
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			before()
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
