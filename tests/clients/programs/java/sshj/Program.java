import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Set;
import java.util.TreeSet;
import net.schmizz.sshj.SSHClient;
import net.schmizz.sshj.sftp.FileAttributes;
import net.schmizz.sshj.sftp.FileMode;
import net.schmizz.sshj.sftp.OpenMode;
import net.schmizz.sshj.sftp.RemoteResourceInfo;
import net.schmizz.sshj.sftp.RenameFlags;
import net.schmizz.sshj.sftp.Response;
import net.schmizz.sshj.sftp.SFTPClient;
import net.schmizz.sshj.sftp.SFTPException;

/** sshj. */
public final class Program implements Library {
    private final SSHClient ssh = new SSHClient();
    private final SFTPClient sftp;

    private Program(boolean byKey) throws IOException {
        ssh.loadKnownHosts(new File(Checklist.KNOWN_HOSTS));
        ssh.connect(Checklist.HOST, Checklist.PORT);
        if (byKey) {
            ssh.authPublickey(Checklist.USER, Checklist.KEY);
        } else {
            ssh.authPassword(Checklist.USER, Checklist.PASSWORD);
        }
        sftp = ssh.newSFTPClient();
    }

    public static void main(String[] arguments) {
        Checklist.run(() -> new Program(false), () -> new Program(true));
    }

    @Override
    public Set<String> list(String directory) throws IOException {
        Set<String> names = new TreeSet<>();
        for (RemoteResourceInfo entry : sftp.ls(directory)) {
            names.add(entry.getName());
        }
        return names;
    }

    @Override
    public Attributes stat(String path) throws IOException {
        FileAttributes attributes = sftp.stat(path);
        return new Attributes(
                attributes.getSize(),
                attributes.getType() == FileMode.Type.DIRECTORY,
                attributes.getMode().getPermissionsMask(),
                attributes.getMtime());
    }

    @Override
    public void makeDirectory(String path) throws IOException {
        sftp.mkdir(path);
    }

    @Override
    public void makeDirectories(String... downwards) throws IOException {
        sftp.mkdirs(downwards[downwards.length - 1]);
    }

    @Override
    public void put(Path local, String remote) throws IOException {
        sftp.put(local.toString(), remote);
    }

    @Override
    public void get(String remote, Path local) throws IOException {
        sftp.get(remote, local.toString());
    }

    @Override
    public void append(String remote, byte[] more) throws IOException {
        try (var file = sftp.open(remote, EnumSet.of(OpenMode.WRITE, OpenMode.APPEND))) {
            file.write(file.length(), more, 0, more.length);
        }
    }

    @Override
    public void resume(Path local, String remote) throws IOException {
        sftp.put(local.toString(), remote, sftp.size(remote));
    }

    @Override
    public void rename(String from, String to) throws IOException {
        sftp.rename(from, to);
    }

    @Override
    public void replace(String from, String to) throws IOException {
        sftp.rename(from, to, EnumSet.of(RenameFlags.OVERWRITE));
    }

    @Override
    public void remove(String file) throws IOException {
        sftp.rm(file);
    }

    @Override
    public void removeDirectory(String path) throws IOException {
        sftp.rmdir(path);
    }

    @Override
    public Set<String> walk(String directory) throws IOException {
        Set<String> found = new TreeSet<>();
        for (RemoteResourceInfo entry : sftp.ls(directory)) {
            if (entry.isDirectory()) {
                walk(entry.getPath()).forEach(below -> found.add(entry.getName() + "/" + below));
            }
            found.add(entry.getName());
        }
        return found;
    }

    @Override
    public void setModified(String path, long seconds) throws IOException {
        sftp.setattr(path, new FileAttributes.Builder().withAtimeMtime(seconds, seconds).build());
    }

    @Override
    public boolean saysMissing(Exception error) {
        return error instanceof SFTPException status
                && status.getStatusCode() == Response.StatusCode.NO_SUCH_FILE;
    }

    @Override
    public void close() throws IOException {
        sftp.close();
        ssh.disconnect();
    }
}
