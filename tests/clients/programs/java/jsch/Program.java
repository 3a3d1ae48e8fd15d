import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.JSchException;
import com.jcraft.jsch.Session;
import com.jcraft.jsch.SftpATTRS;
import com.jcraft.jsch.SftpException;
import java.io.ByteArrayInputStream;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;

/** JSch: the old one of JCraft and today's fork have the same interface, and all defaults are their own. */
public final class Program implements Library {
    private final Session session;
    private final ChannelSftp sftp;

    private Program(boolean byKey) throws JSchException {
        JSch jsch = new JSch();
        jsch.setKnownHosts(Checklist.KNOWN_HOSTS);
        if (byKey) {
            jsch.addIdentity(Checklist.KEY);
        }
        session = jsch.getSession(Checklist.USER, Checklist.HOST, Checklist.PORT);
        if (!byKey) {
            session.setPassword(Checklist.PASSWORD);
        }
        session.connect(20_000);
        sftp = (ChannelSftp) session.openChannel("sftp");
        sftp.connect(20_000);
    }

    public static void main(String[] arguments) {
        Checklist.run(() -> new Program(false), () -> new Program(true));
    }

    @Override
    public Set<String> list(String directory) throws SftpException {
        Set<String> names = new TreeSet<>();
        for (Object entry : sftp.ls(directory)) {
            names.add(((ChannelSftp.LsEntry) entry).getFilename());
        }
        names.remove(".");
        names.remove("..");
        return names;
    }

    @Override
    public Attributes stat(String path) throws SftpException {
        SftpATTRS attributes = sftp.stat(path);
        return new Attributes(
                attributes.getSize(), attributes.isDir(), attributes.getPermissions(), attributes.getMTime());
    }

    @Override
    public void makeDirectory(String path) throws SftpException {
        sftp.mkdir(path);
    }

    @Override
    public void put(Path local, String remote) throws SftpException {
        sftp.put(local.toString(), remote, ChannelSftp.OVERWRITE);
    }

    @Override
    public void get(String remote, Path local) throws SftpException {
        sftp.get(remote, local.toString());
    }

    @Override
    public void append(String remote, byte[] more) throws SftpException {
        sftp.put(new ByteArrayInputStream(more), remote, ChannelSftp.APPEND);
    }

    @Override
    public void resume(Path local, String remote) throws SftpException {
        sftp.put(local.toString(), remote, ChannelSftp.RESUME);
    }

    @Override
    public void rename(String from, String to) throws SftpException {
        sftp.rename(from, to);
    }

    @Override
    public void replace(String from, String to) throws SftpException {
        sftp.rename(from, to);
    }

    @Override
    public void remove(String file) throws SftpException {
        sftp.rm(file);
    }

    @Override
    public void removeDirectory(String path) throws SftpException {
        sftp.rmdir(path);
    }

    @Override
    public Set<String> walk(String directory) throws SftpException {
        Set<String> found = new TreeSet<>();
        for (Object listed : sftp.ls(directory)) {
            ChannelSftp.LsEntry entry = (ChannelSftp.LsEntry) listed;
            String name = entry.getFilename();
            if (entry.getAttrs().isDir() && !name.equals(".") && !name.equals("..")) {
                walk(directory + "/" + name).forEach(below -> found.add(name + "/" + below));
            }
            found.add(name);
        }
        return found;
    }

    @Override
    public void setModified(String path, long seconds) throws SftpException {
        sftp.setMtime(path, (int) seconds);
    }

    @Override
    public boolean saysMissing(Exception error) {
        return error instanceof SftpException status && status.id == ChannelSftp.SSH_FX_NO_SUCH_FILE;
    }

    @Override
    public void close() {
        session.disconnect();
    }
}
