package experiment

import (
	"context"
	"time"

	"drydock.dev/drydock/harness/observe"
)

// listenEvery is how often those are listened to who do not answer. A static pod that crashes does so every few seconds, and kubeadm waits for it for minutes.
const listenEvery = 15 * time.Second

// listen keeps what they say: the log of a static pod goes with the pod, and kubeadm puts the one from before in the place of one that does not come up.
func (c *cellRun) listen(ctx context.Context) {
	t := time.NewTicker(listenEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			c.heard = observe.Together(c.heard, c.target.WordsNow(ctx, c.observer.Seen()))
		}
	}
}
