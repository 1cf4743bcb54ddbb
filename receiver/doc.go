// Package receiver takes Kaylehooks webhooks in: it checks the signature, decrypts the body, drops repeats and hands over
// typed events. It needs nothing of Kaylehooks but this package, and beside the standard library only go-jose.
//
//	handler := receiver.New(receiver.Options{
//		Secrets: []string{os.Getenv("SIGNING_SECRET")},
//		Keys:    map[string]*rsa.PrivateKey{"key-1": key},
//		OnEvent: func(ctx context.Context, e receiver.Event) error { return queue.Add(ctx, e) },
//	})
//	http.Handle("POST /webhooks/kayle", handler)
//
// OnEvent should keep the event and return: the sender waits 15 seconds at most. An error makes the sender try again. By
// default the events that were taken in are remembered in memory; a Store over a database makes that last, and lets
// several processes share it.
package receiver
