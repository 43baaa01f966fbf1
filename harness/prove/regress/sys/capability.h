/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In place of libcap's header, for the mm selftests: Debian's cross compilers
 * have no libcap. All that they do with it is to give up every capability.
 */
#ifndef REGRESS_CAPABILITY_H
#define REGRESS_CAPABILITY_H

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#define cap_t struct __user_cap_data_struct *

static inline cap_t cap_init(void)
{
	static struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

	return none;
}

static inline int cap_set_proc(cap_t cap)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	return syscall(SYS_capset, &header, cap);
}

static inline int cap_free(cap_t cap)
{
	(void)cap;
	return 0;
}

#endif
