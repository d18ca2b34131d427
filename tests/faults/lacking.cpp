// A disk that lacks things, for the processes that load this before the C library (LD_PRELOAD): all that lies in the
// folder $LACKING. Macros say with what it refuses them: LOCKS flock; LINKS links of both kinds; MODES modes, attributes,
// and times other than now. Those that are not given it has.
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <string>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

static bool on_disk(int folder, const char *path) {
    const char *disk = getenv("LACKING");
    char whole[PATH_MAX];
    std::string place = path ? path : "";
    if (!path || (place[0] != '/' && folder != AT_FDCWD)) {
        std::string opened = "/proc/self/fd/" + std::to_string(folder);
        place = opened + (path ? "/" + place : "");
    } else if (place.find('/') == std::string::npos) {
        place = "./" + place;
    }
    // What is there, or the folder in which it is to be.
    if (!disk || (!realpath(place.c_str(), whole) && !realpath(place.substr(0, place.rfind('/')).c_str(), whole)))
        return false;
    return strncmp(whole, disk, strlen(disk)) == 0;
}

template <typename... Arguments>
static int unless(bool refused, int code, const char *name, Arguments... arguments) {
    if (!refused) return reinterpret_cast<int (*)(Arguments...)>(dlsym(RTLD_NEXT, name))(arguments...);
    errno = code;
    return -1;
}

extern "C" {

#ifdef LOCKS
int flock(int file, int how) noexcept { return unless(on_disk(file, nullptr), LOCKS, "flock", file, how); }
#endif

#ifdef LINKS
int link(const char *from, const char *to) noexcept { return unless(on_disk(AT_FDCWD, to), LINKS, "link", from, to); }
int linkat(int from_folder, const char *from, int folder, const char *to, int flags) noexcept {
    return unless(on_disk(folder, to), LINKS, "linkat", from_folder, from, folder, to, flags);
}
int symlink(const char *what, const char *to) noexcept {
    return unless(on_disk(AT_FDCWD, to), LINKS, "symlink", what, to);
}
int symlinkat(const char *what, int folder, const char *to) noexcept {
    return unless(on_disk(folder, to), LINKS, "symlinkat", what, folder, to);
}
#endif

#ifdef MODES
int chmod(const char *path, mode_t mode) noexcept {
    return unless(on_disk(AT_FDCWD, path), MODES, "chmod", path, mode);
}
int fchmod(int file, mode_t mode) noexcept { return unless(on_disk(file, nullptr), MODES, "fchmod", file, mode); }
int fchmodat(int folder, const char *path, mode_t mode, int flags) noexcept {
    return unless(on_disk(folder, path), MODES, "fchmodat", folder, path, mode, flags);
}
int setxattr(const char *path, const char *name, const void *value, size_t size, int flags) noexcept {
    return unless(on_disk(AT_FDCWD, path), MODES, "setxattr", path, name, value, size, flags);
}
// Whoever may write may set the time to now; anything else only the owner may, who is another on such disks.
int utimensat(int folder, const char *path, const timespec times[2], int flags) noexcept {
    return unless(times && on_disk(folder, path), MODES, "utimensat", folder, path, times, flags);
}
int futimens(int file, const timespec times[2]) noexcept {
    return unless(times && on_disk(file, nullptr), MODES, "futimens", file, times);
}
int utimes(const char *path, const timeval times[2]) noexcept {
    return unless(times && on_disk(AT_FDCWD, path), MODES, "utimes", path, times);
}
int lutimes(const char *path, const timeval times[2]) noexcept {
    return unless(times && on_disk(AT_FDCWD, path), MODES, "lutimes", path, times);
}
int utime(const char *path, const utimbuf *times) noexcept {
    return unless(times && on_disk(AT_FDCWD, path), MODES, "utime", path, times);
}
#endif

}  // extern "C"
