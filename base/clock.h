// The monotonic clock.
#ifndef CZT_BASE_CLOCK_H
#define CZT_BASE_CLOCK_H

// Seconds since some moment; only differences mean something.
double seconds_now(void);

#endif
