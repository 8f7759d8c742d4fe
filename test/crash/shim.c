/*
 * Records what a process does to the files of one folder, for the power-cut test.
 *
 * LD_PRELOADed. Every write, sync and truncation of a file whose path begins with FAIRLEAD_CUT_DIR
 * becomes records in the file FAIRLEAD_CUT_LOG, in the order of all threads: one when it begins,
 * with the bytes, and one when it has ended. The test's own marks are writes to FAIRLEAD_CUT_DIR/marks.
 *
 * Record, little-endian: u32 magic, u8 kind, u8 flags (1: O_DSYNC or O_SYNC), u16 file, u32 of
 * (number of the beginning that an end belongs to), u32 length, u64 offset, then `length` bytes.
 * Kinds: 1 open (path), 2 write, 3 write ended, 4 sync, 5 sync ended, 6 truncate, 7 failed, 8 mapped
 * for shared writing, which the test refuses.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES_MAX = 64, FDS_MAX = 4096, PATH_BYTES = 512 };
enum { OPEN = 1, WRITE, WRITTEN, SYNC, SYNCED, TRUNCATE, FAILED, MAPPED };

struct record {
	uint32_t magic;
	uint8_t kind, flags;
	uint16_t file;
	uint32_t of, length;
	uint64_t offset;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char paths[FILES_MAX][PATH_BYTES];
static int files, log_fd = -1;
static uint32_t records;
/* 0: not ours, else file + 1. */
static uint16_t file_of[FDS_MAX];
static uint8_t synchronous[FDS_MAX];
static const char *folder;
static size_t folder_bytes;

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("FAIRLEAD_CUT_LOG");
	folder = getenv("FAIRLEAD_CUT_DIR");
	if (path == NULL || folder == NULL)
		return;
	folder_bytes = strlen(folder);
	log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Its number. A log that cannot be written would make the test lie. */
static uint32_t note(int kind, int fd, uint32_t of, uint64_t offset, const struct iovec *parts, int count)
{
	struct iovec all[1026];
	struct record head = { 0x54554346, (uint8_t)kind, synchronous[fd], (uint16_t)(file_of[fd] - 1), of, 0, offset };
	ssize_t total = sizeof head;
	uint32_t number;
	if (count > 1024)
		abort();
	for (int i = 0; i < count; i++) {
		all[i + 1] = parts[i];
		head.length += (uint32_t)parts[i].iov_len;
		total += (ssize_t)parts[i].iov_len;
	}
	all[0].iov_base = &head;
	all[0].iov_len = sizeof head;
	pthread_mutex_lock(&lock);
	number = records++;
	if (syscall(SYS_writev, log_fd, all, count + 1) != total)
		abort();
	pthread_mutex_unlock(&lock);
	return number;
}

static int is_ours(int fd)
{
	return log_fd >= 0 && fd >= 0 && fd < FDS_MAX && file_of[fd] != 0;
}

static void opened(int fd, const char *path, int flags)
{
	struct iovec name;
	int file = 0;
	if (log_fd < 0 || fd < 0 || fd >= FDS_MAX)
		return;
	file_of[fd] = 0;
	if (path == NULL || strncmp(path, folder, folder_bytes) != 0 || (flags & O_ACCMODE) == O_RDONLY)
		return;
	pthread_mutex_lock(&lock);
	while (file < files && strcmp(paths[file], path) != 0)
		file++;
	if (file == files) {
		if (files == FILES_MAX || strlen(path) >= PATH_BYTES)
			abort();
		strcpy(paths[files++], path);
	}
	file_of[fd] = (uint16_t)(file + 1);
	synchronous[fd] = (flags & O_DSYNC) != 0;
	pthread_mutex_unlock(&lock);
	name.iov_base = (void *)path;
	name.iov_len = strlen(path);
	note(OPEN, fd, 0, 0, &name, 1);
}

static int mode_of(int flags, va_list list)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, int) : 0;
}

#define OPEN_LIKE(name)                                                                 \
	int name(const char *path, int flags, ...)                                      \
	{                                                                               \
		va_list list;                                                           \
		int mode, fd;                                                           \
		va_start(list, flags);                                                  \
		mode = mode_of(flags, list);                                            \
		va_end(list);                                                           \
		fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode); \
		opened(fd, path, flags);                                                \
		return fd;                                                              \
	}
OPEN_LIKE(open)
OPEN_LIKE(open64)

int close(int fd)
{
	static int (*next)(int);
	if (next == NULL)
		next = (int (*)(int))dlsym(RTLD_NEXT, "close");
	if (is_ours(fd))
		file_of[fd] = 0;
	return next(fd);
}

static ssize_t ended(int fd, uint32_t of, ssize_t result, ssize_t wanted)
{
	note(result == wanted ? WRITTEN : FAILED, fd, of, 0, NULL, 0);
	return result;
}

static ssize_t write_at(int fd, const void *bytes, size_t length, off64_t offset)
{
	struct iovec part = { (void *)bytes, length };
	uint32_t of;
	if (!is_ours(fd))
		return syscall(SYS_pwrite64, fd, bytes, length, offset);
	of = note(WRITE, fd, 0, (uint64_t)offset, &part, 1);
	return ended(fd, of, syscall(SYS_pwrite64, fd, bytes, length, offset), (ssize_t)length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
	return write_at(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
	return write_at(fd, bytes, length, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	ssize_t wanted = 0;
	uint32_t of;
	if (!is_ours(fd))
		return syscall(SYS_writev, fd, parts, count);
	for (int i = 0; i < count; i++)
		wanted += (ssize_t)parts[i].iov_len;
	of = note(WRITE, fd, 0, (uint64_t)lseek(fd, 0, SEEK_CUR), parts, count);
	return ended(fd, of, syscall(SYS_writev, fd, parts, count), wanted);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
	struct iovec part = { (void *)bytes, length };
	uint32_t of;
	if (!is_ours(fd))
		return syscall(SYS_write, fd, bytes, length);
	of = note(WRITE, fd, 0, (uint64_t)lseek(fd, 0, SEEK_CUR), &part, 1);
	return ended(fd, of, syscall(SYS_write, fd, bytes, length), (ssize_t)length);
}

static int sync_with(long call, int fd)
{
	uint32_t of;
	int result;
	if (!is_ours(fd))
		return (int)syscall(call, fd);
	of = note(SYNC, fd, 0, 0, NULL, 0);
	result = (int)syscall(call, fd);
	note(result == 0 ? SYNCED : FAILED, fd, of, 0, NULL, 0);
	return result;
}

int fdatasync(int fd)
{
	return sync_with(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return sync_with(SYS_fsync, fd);
}

int ftruncate64(int fd, off64_t length)
{
	if (is_ours(fd))
		note(TRUNCATE, fd, 0, (uint64_t)length, NULL, 0);
	return (int)syscall(SYS_ftruncate, fd, length);
}

/* Stores through a shared writable map would not be seen here; LMDB's lock file is such a map. */
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset)
{
	if (is_ours(fd) && (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0)
		note(MAPPED, fd, 0, (uint64_t)offset, NULL, 0);
	return (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}
