// Package unsynced makes a power cut lose what programs had written and not fsynced.
//
// Killing a machine's processes leaves their writes in the host's page cache, as if each had been fsynced. Here the machine's calls of fsync,
// fdatasync, syncfs and sync are told to its lab before the kernel carries them out (seccomp_unotify(2): no device, no mount, no rights beyond those
// of a user namespace), and the lab keeps beside the disk what they made durable. When the machine has lost its power, the directories that are
// remembered get that state, and no other.
//
// The model of the cut: when remembering begins, with the machine's programs stopped for that moment, all that was written so far has reached the
// disk, as the kernel's own writeback gets there in its time. From then on nothing reaches it but by a call, which is the worst that fsync(2) allows:
//   - fsync or fdatasync of a file makes its contents and size durable, and not its name;
//   - fsync of a directory makes its names durable, those that are gone included; a file whose contents were not fsynced is empty then, a directory
//     that was not has no names in it; a file that was moved from one directory to another has gone or come with the fsync of each;
//   - sync and syncfs make all of it durable.
//
// File systems in use keep more (most a file's name with its first fsync). LazyFS (https://github.com/dsrhaslab/lazyfs), with which etcd's own robustness
// tests lose power, loses pages of files' contents and keeps all names: what is lost there is lost here. What etcd promises to survive is that its
// write-ahead log was fsynced before it answered (etcd's documentation of --unsafe-no-fsync: "disables fsync, unsafe, will cause data loss").
//
// What makes data durable without such a call cannot be told: O_SYNC and O_DSYNC, io_uring, and mappings that are shared and written to. A program that
// has one of them in the directories, or a ring at all, is named, and the cut refused or told to be in doubt.
//
// The same calls can be made to take longer: a disk that is slow to fsync, as one is whose queue is full or whose cache must be flushed. The kernel carries
// the call out when its time is over, and the thread that made it sleeps until then, as in the kernel's own wait. Reads and writes are as fast as ever: they are
// answered by the page cache, on a slow disk as well. What is not emulated is that a slow disk is slow for everybody; here it is so below directories.
package unsynced
