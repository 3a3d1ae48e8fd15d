import java.io.IOException;
import java.nio.file.Path;
import java.util.Set;

/** What the checklist asks of a library, each method as the library's users would do it. Paths are absolute. */
interface Library extends AutoCloseable {
    record Attributes(long size, boolean directory, int permissions, long modifiedSeconds) {}

    /** Thrown by what a library does not have: such a check is not printed. */
    final class Unsupported extends RuntimeException {}

    /** Names in a directory, without `.` and `..`. */
    Set<String> list(String directory) throws Exception;

    Attributes stat(String path) throws Exception;

    /** Make a directory; those above it may be missing only where the library makes them itself. */
    void makeDirectory(String path) throws Exception;

    default void makeDirectories(String... downwards) throws Exception {
        for (String path : downwards) {
            makeDirectory(path);
        }
    }

    void put(Path local, String remote) throws Exception;

    void get(String remote, Path local) throws Exception;

    default void append(String remote, byte[] more) throws Exception {
        throw new Unsupported();
    }

    /** Upload the rest of a file whose first bytes are there. */
    default void resume(Path local, String remote) throws Exception {
        throw new Unsupported();
    }

    void rename(String from, String to) throws Exception;

    /** Rename onto a file that is there. */
    default void replace(String from, String to) throws Exception {
        throw new Unsupported();
    }

    void remove(String file) throws Exception;

    void removeDirectory(String path) throws Exception;

    /** Everything below a directory, relative to it. */
    Set<String> walk(String directory) throws Exception;

    default void setModified(String path, long seconds) throws Exception {
        throw new Unsupported();
    }

    /** Checks of what this library alone does, on a directory that is there; it is left as it was. */
    default void more(String directory) {}

    /** Whether this is how the library says that there is no such file. */
    boolean saysMissing(Exception error);

    @Override
    default void close() throws IOException {}
}
