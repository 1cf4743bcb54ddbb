package queue

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fixture"
)

// TestWaker_ARingEndsTheWait would last for an hour without the wake-up.
func TestWaker_ARingEndsTheWait(t *testing.T) {
	t.Parallel()
	client := redisClient(t, devtest.Redis(t))
	w := newWaker(t.Context(), client)
	t.Cleanup(w.close)
	go w.run()
	waiting, _ := w.client(client, LaneFresh).(waitingClient)
	waiting.lookEvery = time.Hour
	take := redis.NewScript(`return redis.call("RPOP", KEYS[1])`)
	if err := take.Load(t.Context(), client).Err(); err != nil {
		t.Fatal(err)
	}
	taken := make(chan error, 1)
	go func() {
		var err error = redis.Nil
		for errors.Is(err, redis.Nil) { // channels are the server's, not the database's, so other tests wake this lane too
			err = take.Run(t.Context(), waiting, []string{pendingKey(LaneFresh)}).Err()
		}
		taken <- err
	}()
	fixture.Until(t, "the lane is being watched", func() bool {
		return client.PubSubNumSub(t.Context(), wakeChannel(LaneFresh)).Val()[wakeChannel(LaneFresh)] == 1
	})
	bell := NewBell(client, time.Now, slog.New(slog.DiscardHandler))
	t.Cleanup(bell.Close)
	bell.Ring([]delivery.Due{{DeliveryID: newDue(newEndpoint()).DeliveryID, EndpointID: newEndpoint(), Fresh: true}})
	select {
	case err := <-taken:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("nobody woke the lane")
	}
}

func TestWaker_OtherScriptsDoNotWait(t *testing.T) {
	t.Parallel()
	client := redisClient(t, devtest.Redis(t))
	w := newWaker(t.Context(), client)
	t.Cleanup(w.close)
	waiting, _ := w.client(client, LaneFresh).(waitingClient)
	waiting.lookEvery = time.Hour
	err := redis.NewScript("return false").Run(t.Context(), waiting, []string{pendingKey(LaneRetry)}).Err()
	if !errors.Is(err, redis.Nil) {
		t.Error(err)
	}
}
