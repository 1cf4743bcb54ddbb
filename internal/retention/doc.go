// Package retention deletes what is no longer needed (contract section 10): once a day it calls the purge function of each
// room in small batches. It owns no table. The worker calls RunDue every minute.
package retention
