/*
 * true: what every contestant runs. Without a C library, whose own start-up (half a millisecond in a
 * virtual machine that traps CPUID) would be added to everybody's time and hide the difference.
 */
__attribute__((noreturn)) void _start(void)
{
#if defined(__x86_64__)
	__asm__ volatile("syscall" : : "a"(231), "D"(0));
#elif defined(__aarch64__)
	register long number __asm__("x8") = 94;
	register long status __asm__("x0") = 0;

	__asm__ volatile("svc #0" : : "r"(number), "r"(status));
#endif
	__builtin_unreachable();
}
