package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// NewMetrics returns the figures of a web server: Go, pool and backlog. No label holds a tenant, an id or a URL.
func NewMetrics(db *postgres.DB, deliveries *delivery.Service) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &backlog{db, deliveries})
	return r
}

// backlog reads the state of the pipeline when somebody asks.
type backlog struct {
	db         *postgres.DB
	deliveries *delivery.Service
}

var (
	dueDesc      = prometheus.NewDesc("kaylehooks_deliveries_due", "Deliveries that are due and not in flight (counted to 100,000).", nil, nil)
	inFlightDesc = prometheus.NewDesc("kaylehooks_deliveries_in_flight", "Deliveries whose request is in flight (counted to 100,000).", nil, nil)
	oldestDesc   = prometheus.NewDesc("kaylehooks_oldest_due_seconds", "How long the oldest due delivery has been waiting.", nil, nil)
	connsDesc    = prometheus.NewDesc("kaylehooks_postgres_connections", "Connections of this process to Postgres.", []string{"state"}, nil)
)

// Describe implements prometheus.Collector.
func (b *backlog) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{dueDesc, inFlightDesc, oldestDesc, connsDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. While Postgres is away the figures that come from it are left out.
func (b *backlog) Collect(ch chan<- prometheus.Metric) {
	open, busy := b.db.Stats()
	ch <- prometheus.MustNewConstMetric(connsDesc, prometheus.GaugeValue, float64(busy), "busy")
	ch <- prometheus.MustNewConstMetric(connsDesc, prometheus.GaugeValue, float64(open-busy), "idle")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	count, err := b.deliveries.CountBacklog(ctx, id.Organization{})
	if err != nil {
		return
	}
	waited := 0.0
	if count.OldestDue != nil {
		waited = b.db.Now().Sub(*count.OldestDue).Seconds()
	}
	ch <- prometheus.MustNewConstMetric(dueDesc, prometheus.GaugeValue, float64(count.Due))
	ch <- prometheus.MustNewConstMetric(inFlightDesc, prometheus.GaugeValue, float64(count.InFlight))
	ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, waited)
}

// onThisMachine answers callers on the loopback interface that came without a proxy, and nobody else.
func onThisMachine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		ip, err := netip.ParseAddr(host)
		if err != nil || !ip.IsLoopback() || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
			plain(w, http.StatusNotFound, "not found\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}
