#include "common/dice.h"

#include <sys/random.h>

#include "common/clock.h"

uint64_t dice_throw(void)
{
	uint64_t number;

	return getrandom(&number, sizeof(number), GRND_NONBLOCK) == sizeof(number)
		       ? number
		       : clock_monotonic_us();
}
