/* sys_fault.h - what the sys_*.c files ask the fault machinery beyond sys_fault_step(). */
#ifndef TWOFOLD_BASE_SYS_FAULT_H
#define TWOFOLD_BASE_SYS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* True when openat2 is to be treated as missing. */
#ifdef TWOFOLD_FAULTS
bool sys_fault_noopenat2(void);
/* How many seconds the machine's clock is to be ahead. */
long long sys_fault_clock_s(void);
/* What is read instead of /etc/fstab; NULL: nothing is. */
const char *sys_fault_fstab(void);
#else
static inline const char *sys_fault_fstab(void)
{
    return NULL;
}
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
