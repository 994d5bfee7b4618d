/* sys_fault.h - what the sys_*.c files ask the fault machinery beyond sys_fault_step(). */
#ifndef TWOFOLD_BASE_SYS_FAULT_H
#define TWOFOLD_BASE_SYS_FAULT_H

#include <stdbool.h>

/* True when openat2 is to be treated as missing. */
#ifdef TWOFOLD_FAULTS
bool sys_fault_noopenat2(void);
/* How many seconds the machine's clock is to be ahead. */
long long sys_fault_clock_s(void);
#else
static inline long long sys_fault_clock_s(void)
{
    return 0;
}
static inline bool sys_fault_noopenat2(void)
{
    return false;
}
#endif

#endif
