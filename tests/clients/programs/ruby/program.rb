# Ruby's net-sftp. Prints `PASS name` or `FAIL name: why` for each check.
require "net/sftp"

REMOTE, LOCAL = ENV.fetch("SFTP_REMOTE"), ENV.fetch("SFTP_LOCAL")

def check(name)
  yield
  puts "PASS #{name}"
rescue StandardError => error
  puts "FAIL #{name}: #{error.class}: #{error.message.tr("\n", " ")}"
end

def equal(got, wanted)
  raise "#{got.inspect[0, 300]} where #{wanted.inspect[0, 300]} is right" unless got == wanted
end

def complete(attributes)
  raise "no permissions" if (attributes.permissions.to_i & 0o700).zero?
  raise "a time before 2000: #{attributes.mtime.inspect}" if attributes.mtime.to_i < 946_684_800
end

def connected(**login, &block)
  Net::SFTP.start(
    ENV.fetch("SFTP_HOST"), ENV.fetch("SFTP_USER"),
    port: ENV.fetch("SFTP_PORT").to_i, user_known_hosts_file: ENV.fetch("SFTP_KNOWN_HOSTS"),
    verify_host_key: :always, config: false, use_agent: false, non_interactive: true, timeout: 20, **login, &block
  )
end

def names(sftp, directory)
  sftp.dir.entries(directory).map(&:name) - [".", ".."]
end

def gets(sftp, remote, local)
  sftp.download!(remote, "#{LOCAL}/got")
  equal(File.binread("#{LOCAL}/got") == File.binread("#{LOCAL}/#{local}"), true)
end

def missing(sftp, path)
  sftp.stat!(path)
  raise "#{path} is there"
rescue Net::SFTP::StatusException => status
  equal(status.code, Net::SFTP::Constants::StatusCodes::FX_NO_SUCH_FILE)
end

check("login-password") do
  connected(password: ENV.fetch("SFTP_PASSWORD"), auth_methods: ["password"]) { |sftp| names(sftp, REMOTE) }
end

check("login-key") do
  connected(keys: [ENV.fetch("SFTP_KEY")], keys_only: true, auth_methods: ["publickey"]) do |sftp|
    a = "#{REMOTE}/a"
    check("list") { equal(names(sftp, REMOTE).sort, ["seed.txt", "seeded"]) }
    check("stat-file") do
      attributes = sftp.stat!("#{REMOTE}/seed.txt")
      equal([attributes.size, attributes.file?], [4, true])
      complete(attributes)
    end
    check("stat-directory") do
      attributes = sftp.stat!("#{REMOTE}/seeded")
      equal(attributes.directory?, true)
      complete(attributes)
    end
    check("mkdir-nested") do
      [a, "#{a}/b", "#{a}/b/c"].each { |path| sftp.mkdir!(path) }
      equal(names(sftp, "#{a}/b"), ["c"])
    end
    check("put-small") { sftp.upload!("#{LOCAL}/small", "#{a}/small") }
    check("put-large") { sftp.upload!("#{LOCAL}/large", "#{a}/b/c/large") }
    check("get-small") { gets(sftp, "#{a}/small", "small") }
    check("get-large") { gets(sftp, "#{a}/b/c/large", "large") }
    check("append") do
      sftp.file.open("#{a}/small", "a") { |file| file.write("more") }
      equal(sftp.download!("#{a}/small").b == File.binread("#{LOCAL}/small") + "more".b, true)
    end
    check("rename") do
      sftp.rename!("#{a}/small", "#{a}/renamed")
      missing(sftp, "#{a}/small")
    end
    check("walk") do
      found = sftp.dir.glob(REMOTE, "**/*").map(&:name)
      ["seeded/inner.txt", "a/renamed", "a/b/c/large"].each { |name| equal(found.include?(name) ? name : found, name) }
    end
    check("tree") do # the whole directory back in one call
      sftp.download!(REMOTE, "#{LOCAL}/tree", recursive: true)
      equal(File.binread("#{LOCAL}/tree/seeded/inner.txt"), "inner")
    end
    check("missing") do
      missing(sftp, "#{REMOTE}/missing")
      begin
        sftp.download!("#{REMOTE}/missing")
        raise "a file that is not there was downloaded"
      rescue Net::SFTP::StatusException => status
        equal(status.code, Net::SFTP::Constants::StatusCodes::FX_NO_SUCH_FILE)
      end
    end
    check("times") do
      sftp.setstat!("#{a}/renamed", atime: 1_577_836_800, mtime: 1_577_836_800)
      equal(sftp.stat!("#{a}/renamed").mtime, 1_577_836_800)
    end
    check("remove") do
      sftp.remove!("#{a}/renamed")
      missing(sftp, "#{a}/renamed")
    end
    check("rmdir") do
      sftp.rename!("#{a}/b/c/large", "#{REMOTE}/kept")
      ["#{a}/b/c", "#{a}/b", a].each { |path| sftp.rmdir!(path) }
      equal(names(sftp, REMOTE).sort, ["kept", "seed.txt", "seeded"])
    end
  end
end
