package verification

import "time"

const (
	// crowdSize is the size of a group from which those who were answered are likely to be back at once with their next reports.
	crowdSize = 4
	// crowdLinger is how long the next group waits for them at most: one commit for everybody beats two for half of them each.
	crowdLinger = 12 * time.Millisecond
	// someLinger is how long it waits for anybody when they were waited for in vain: they report at a pace of their own. After someGroups
	// groups they are waited for again.
	someLinger = 4 * time.Millisecond
	someGroups = 16
)

// crowd decides how long a group of success reports waits for company. It is asked by one group after the other.
type crowd struct {
	awaited int // as many as the group that leaves next waits for; 0 when it waits for nobody in particular
	some    int // groups until the crowd is waited for again
}

// linger is batch.Group.Linger: it waits for those who were answered to be back beside those who came meanwhile.
func (c *crowd) linger(answered, since int) (most time.Duration, enough int) {
	if answered < crowdSize {
		*c = crowd{}
		return 0, 0
	}
	switch {
	case answered < c.awaited:
		c.some = someGroups
	case c.some > 0:
		c.some--
	}
	if c.some > 0 {
		c.awaited = 0
		return someLinger, successGroup
	}
	c.awaited = min(answered+since, successGroup)
	return crowdLinger, c.awaited
}

// isBack tells that a group of so many has all it waited for, so that they will be back after it as well.
func (c *crowd) isBack(n int) bool { return c.awaited > 0 && n >= c.awaited }
