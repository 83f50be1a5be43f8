/* System calls that the kernel refuses: on Linux alone. */
#ifndef EPIO_TEST_REFUSE_H
#define EPIO_TEST_REFUSE_H

#include <stdint.h>

/* The kernel fails this call (SYS_...) with this error from now on, irrevocably: in a forked
 * process. */
void refuse(uint32_t call, int error);

#endif
