import java.io.IOException;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributeView;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFileAttributes;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.sshd.client.SshClient;
import org.apache.sshd.client.keyverifier.KnownHostsServerKeyVerifier;
import org.apache.sshd.client.keyverifier.RejectAllServerKeyVerifier;
import org.apache.sshd.client.session.ClientSession;
import org.apache.sshd.common.keyprovider.FileKeyPairProvider;
import org.apache.sshd.sftp.client.SftpClientFactory;

/** Apache MINA through its NIO file system: what `java.nio.file.Files` does on a disk, done over SFTP. */
public final class Program implements Library {
    private final SshClient ssh = SshClient.setUpDefaultClient();
    private final ClientSession session;
    private final FileSystem files;

    private Program(boolean byKey) throws IOException {
        ssh.setServerKeyVerifier(
                new KnownHostsServerKeyVerifier(RejectAllServerKeyVerifier.INSTANCE, Path.of(Checklist.KNOWN_HOSTS)));
        ssh.start();
        session = ssh.connect(Checklist.USER, Checklist.HOST, Checklist.PORT).verify(20_000).getSession();
        if (byKey) {
            session.setKeyIdentityProvider(new FileKeyPairProvider(Path.of(Checklist.KEY)));
        } else {
            session.addPasswordIdentity(Checklist.PASSWORD);
        }
        session.auth().verify(20_000);
        files = SftpClientFactory.instance().createSftpFileSystem(session);
    }

    public static void main(String[] arguments) {
        Checklist.run(() -> new Program(false), () -> new Program(true));
    }

    @Override
    public Set<String> list(String directory) throws IOException {
        try (Stream<Path> entries = Files.list(files.getPath(directory))) {
            return entries.map(entry -> entry.getFileName().toString()).collect(Collectors.toSet());
        }
    }

    @Override
    public Attributes stat(String path) throws IOException {
        PosixFileAttributes attributes = Files.readAttributes(files.getPath(path), PosixFileAttributes.class);
        int mode = attributes.permissions().isEmpty() ? 0 : 0700;
        return new Attributes(
                attributes.size(), attributes.isDirectory(), mode, attributes.lastModifiedTime().toMillis() / 1000);
    }

    @Override
    public void makeDirectory(String path) throws IOException {
        Files.createDirectory(files.getPath(path));
    }

    @Override
    public void makeDirectories(String... downwards) throws IOException {
        Files.createDirectories(files.getPath(downwards[downwards.length - 1]));
    }

    @Override
    public void put(Path local, String remote) throws IOException {
        Files.copy(local, files.getPath(remote), StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public void get(String remote, Path local) throws IOException {
        Files.copy(files.getPath(remote), local, StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public void append(String remote, byte[] more) throws IOException {
        Files.write(files.getPath(remote), more, StandardOpenOption.APPEND);
    }

    @Override
    public void rename(String from, String to) throws IOException {
        Files.move(files.getPath(from), files.getPath(to));
    }

    @Override
    public void replace(String from, String to) throws IOException {
        Files.move(files.getPath(from), files.getPath(to), StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public void remove(String file) throws IOException {
        Files.delete(files.getPath(file));
    }

    @Override
    public void removeDirectory(String path) throws IOException {
        Files.delete(files.getPath(path));
    }

    @Override
    public Set<String> walk(String directory) throws IOException {
        Path root = files.getPath(directory);
        Set<String> found = new TreeSet<>();
        try (Stream<Path> entries = Files.walk(root)) {
            entries.forEach(entry -> found.add(root.relativize(entry).toString()));
        }
        return found;
    }

    /** Both times: version 3 has them only together, so MINA's `Files.setLastModifiedTime` sends nothing. */
    @Override
    public void setModified(String path, long seconds) throws IOException {
        FileTime time = FileTime.fromMillis(seconds * 1000);
        Files.getFileAttributeView(files.getPath(path), BasicFileAttributeView.class).setTimes(time, time, null);
    }

    @Override
    public boolean saysMissing(Exception error) {
        return error instanceof NoSuchFileException;
    }

    @Override
    public void close() throws IOException {
        files.close();
        session.close();
        ssh.stop();
    }
}
