import java.io.File;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import org.apache.commons.vfs2.AllFileSelector;
import org.apache.commons.vfs2.FileNotFoundException;
import org.apache.commons.vfs2.FileObject;
import org.apache.commons.vfs2.FileSystemException;
import org.apache.commons.vfs2.FileSystemOptions;
import org.apache.commons.vfs2.FileType;
import org.apache.commons.vfs2.Selectors;
import org.apache.commons.vfs2.impl.StandardFileSystemManager;
import org.apache.commons.vfs2.provider.sftp.IdentityInfo;
import org.apache.commons.vfs2.provider.sftp.SftpFileSystemConfigBuilder;

/** Apache Commons VFS, its exec of `id -u` included. */
public final class Program implements Library {
    private final StandardFileSystemManager manager = new StandardFileSystemManager();
    private final FileSystemOptions options = new FileSystemOptions();
    private final String root;

    private Program(boolean byKey) throws FileSystemException {
        manager.init();
        SftpFileSystemConfigBuilder builder = SftpFileSystemConfigBuilder.getInstance();
        builder.setKnownHosts(options, new File(Checklist.KNOWN_HOSTS));
        builder.setStrictHostKeyChecking(options, "yes");
        builder.setUserDirIsRoot(options, false);
        if (byKey) {
            builder.setIdentityProvider(options, new IdentityInfo(new File(Checklist.KEY)));
        }
        String password = byKey ? "" : ":" + Checklist.PASSWORD.replace(" ", "%20");
        root = "sftp://" + Checklist.USER + password + "@" + Checklist.HOST + ":" + Checklist.PORT;
    }

    public static void main(String[] arguments) {
        Checklist.run(() -> new Program(false), () -> new Program(true));
    }

    private FileObject at(String path) throws FileSystemException {
        FileObject file = manager.resolveFile(root + path, options);
        file.refresh();
        return file;
    }

    private FileObject local(Path path) throws FileSystemException {
        return manager.resolveFile(path.toUri().toString());
    }

    @Override
    public Set<String> list(String directory) throws FileSystemException {
        Set<String> names = new TreeSet<>();
        for (FileObject child : at(directory).getChildren()) {
            names.add(child.getName().getBaseName());
        }
        return names;
    }

    @Override
    public Attributes stat(String path) throws FileSystemException {
        FileObject file = at(path);
        boolean directory = file.getType() == FileType.FOLDER;
        return new Attributes(
                directory ? 0 : file.getContent().getSize(),
                directory,
                file.isReadable() && file.isWriteable() ? 0700 : 0,
                file.getContent().getLastModifiedTime() / 1000);
    }

    @Override
    public void makeDirectory(String path) throws FileSystemException {
        at(path).createFolder();
    }

    /** createFolder makes what is missing above. */
    @Override
    public void makeDirectories(String... downwards) throws FileSystemException {
        at(downwards[downwards.length - 1]).createFolder();
    }

    @Override
    public void put(Path local, String remote) throws FileSystemException {
        at(remote).copyFrom(local(local), Selectors.SELECT_SELF);
    }

    @Override
    public void get(String remote, Path local) throws FileSystemException {
        local(local).copyFrom(at(remote), Selectors.SELECT_SELF);
    }

    @Override
    public void append(String remote, byte[] more) throws Exception {
        try (FileObject file = at(remote);
                OutputStream to = file.getContent().getOutputStream(true)) {
            to.write(more);
        }
    }

    @Override
    public void rename(String from, String to) throws FileSystemException {
        at(from).moveTo(at(to));
    }

    @Override
    public void replace(String from, String to) throws FileSystemException {
        at(from).moveTo(at(to));
    }

    @Override
    public void remove(String file) throws FileSystemException {
        Checklist.equal(at(file).delete(), true);
    }

    @Override
    public void removeDirectory(String path) throws FileSystemException {
        Checklist.equal(at(path).delete(), true);
    }

    @Override
    public Set<String> walk(String directory) throws FileSystemException {
        FileObject top = at(directory);
        Set<String> found = new TreeSet<>();
        for (FileObject file : top.findFiles(new AllFileSelector())) {
            found.add(top.getName().getRelativeName(file.getName()));
        }
        return found;
    }

    @Override
    public void setModified(String path, long seconds) throws FileSystemException {
        at(path).getContent().setLastModifiedTime(seconds * 1000);
    }

    @Override
    public boolean saysMissing(Exception error) {
        return error instanceof FileNotFoundException
                || error instanceof FileSystemException vfs && vfs.getCode().equals("vfs.provider/copy-missing-file.error");
    }

    @Override
    public void close() {
        manager.close();
    }
}
