/*
 * What Rust's standard library for glibc, and a libseccomp.a that was compiled for glibc, refer to and
 * musl does not have. See docs/decisions/0008-static-linking.md.
 */
#include <stdarg.h>
#include <stdio.h>

struct dl_find_object;

/* gcc's unwinder asks this first; on -1 it walks dl_iterate_phdr(3), which musl has. */
int _dl_find_object(void *address, struct dl_find_object *result)
{
	(void)address;
	(void)result;
	return -1;
}

/* Rust asks whether posix_spawn(3) reports a failed exec, as it does since 2.24, and does in musl. */
const char *gnu_get_libc_version(void)
{
	return "2.24";
}

/* libseccomp's text export, which is never called, is compiled with _FORTIFY_SOURCE. */
int __fprintf_chk(FILE *stream, int flag, const char *format, ...)
{
	va_list arguments;
	int written;

	(void)flag;
	va_start(arguments, format);
	written = vfprintf(stream, format, arguments);
	va_end(arguments);
	return written;
}
