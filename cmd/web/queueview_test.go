package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/dashboard"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/queue"
)

// emptyRedis is a client of a Redis database of the test's own.
func emptyRedis(t *testing.T) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(devtest.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// What the bell rings for is what the dashboard says that a task rings for.
func TestQueueView_TasksOfTheBell(t *testing.T) {
	t.Parallel()
	client := emptyRedis(t)
	v := newQueueView(client)
	if tasks, err := v.Tasks(t.Context(), queue.LaneFresh, dashboard.TaskPending, 1, 10); err != nil || len(tasks) != 0 {
		t.Fatalf("a queue that was never used has %v, %v", tasks, err)
	}
	due := delivery.Due{EndpointID: id.Endpoint{UUID: uuid.New()}, DeliveryID: id.Delivery{UUID: uuid.New()}}
	bell := queue.NewBell(client, time.Now, slog.New(slog.DiscardHandler))
	bell.Ring([]delivery.Due{{EndpointID: due.EndpointID, DeliveryID: due.DeliveryID, Fresh: true}})
	bell.Close() // rings what is left
	tasks, err := v.Tasks(t.Context(), queue.LaneFresh, dashboard.TaskPending, 1, 10)
	if err != nil || len(tasks) != 1 || tasks[0].State != dashboard.TaskPending || tasks[0].Queue != queue.LaneFresh || len(tasks[0].Dues) != 1 || tasks[0].Dues[0] != due {
		t.Fatalf("tasks are %+v, %v; want one for %+v", tasks, err, due)
	}
	if more, err := v.Tasks(t.Context(), queue.LaneFresh, dashboard.TaskPending, 2, 10); err != nil || len(more) != 0 {
		t.Errorf("the second page has %v, %v", more, err)
	}
	one, err := v.Task(t.Context(), queue.LaneFresh, tasks[0].ID)
	if err != nil || one.ID != tasks[0].ID || len(one.Dues) != 1 {
		t.Errorf("Task: %+v, %v", one, err)
	}
	for _, step := range []struct {
		name  string
		do    func(context.Context, string, string) error
		state dashboard.TaskState // afterwards
		err   error
	}{
		{"run what waits", v.RunTask, dashboard.TaskPending, dashboard.ErrTaskMoved},
		{"archive", v.ArchiveTask, dashboard.TaskArchived, nil},
		{"archive again", v.ArchiveTask, dashboard.TaskArchived, dashboard.ErrTaskMoved},
		{"run", v.RunTask, dashboard.TaskPending, nil},
	} {
		if err := step.do(t.Context(), queue.LaneFresh, one.ID); !errors.Is(err, step.err) {
			t.Errorf("%s: %v, want %v", step.name, err, step.err)
		}
		if now, err := v.Task(t.Context(), queue.LaneFresh, one.ID); err != nil || now.State != step.state {
			t.Errorf("%s: the task is %s, %v; want %s", step.name, now.State, err, step.state)
		}
	}
	if err := v.DeleteTask(t.Context(), queue.LaneFresh, one.ID); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		v.DeleteTask(t.Context(), queue.LaneFresh, one.ID), v.RunTask(t.Context(), queue.LaneFresh, one.ID),
		v.ArchiveTask(t.Context(), queue.LaneFresh, one.ID), v.DeleteTask(t.Context(), queue.LaneSlow, "nothing"),
	} {
		if !errors.Is(err, dashboard.ErrNoTask) {
			t.Errorf("got %v, want ErrNoTask", err)
		}
	}
	if _, err := v.Task(t.Context(), queue.LaneFresh, one.ID); !errors.Is(err, dashboard.ErrNoTask) {
		t.Errorf("Task of one that was deleted: %v", err)
	}
}

// What a scheduler of asynq tells of itself is on the page of the queue; we have none, but somebody may.
func TestQueueView_Schedulers(t *testing.T) {
	t.Parallel()
	client := emptyRedis(t)
	v := newQueueView(client)
	if s, err := v.Snapshot(t.Context()); err != nil || len(s.Schedules) != 0 {
		t.Fatalf("without a scheduler there are %+v, %v", s.Schedules, err)
	}
	scheduler := asynq.NewSchedulerFromRedisClient(client, &asynq.SchedulerOpts{LogLevel: asynq.FatalLevel})
	for _, spec := range []string{"@every 10h", "@every 2h"} {
		if _, err := scheduler.Register(spec, asynq.NewTask("sweep "+spec, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := scheduler.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scheduler.Shutdown)
	var schedules []dashboard.QueueSchedule
	fixture.Until(t, "the scheduler tells of itself, as it does every five seconds", func() bool {
		s, err := v.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		schedules = s.Schedules
		return len(schedules) == 2
	})
	if first := schedules[0]; first.Task != "sweep @every 2h" || first.Spec != "@every 2h" || !first.Last.IsZero() || time.Until(first.Next) < 119*time.Minute {
		t.Errorf("the first is %+v", first)
	}
}
