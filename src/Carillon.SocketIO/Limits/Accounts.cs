namespace Carillon.SocketIO.Limits;

/// <summary>One account with connections: how many, and what they have spent together.</summary>
sealed class Account
{
    public Account(string name)
    {
        Name = name;
        Place = new LinkedListNode<Account>(this);
    }

    public readonly string Name;
    public readonly LinkedListNode<Account> Place;
    public Buckets Buckets;
    public int Connections;
}

/// <summary>The accounts that have connections, and for a while those that had: who reconnects must not find a full purse.</summary>
sealed class Accounts(LimitOptions options, TimeProvider clock)
{
    internal const int Remembered = 10_000;

    readonly Lock _gate = new();
    readonly Dictionary<string, Account> _accounts = [];
    readonly LinkedList<Account> _absent = new();     // left longest ago first

    public int Count
    {
        get
        {
            lock (_gate) return _accounts.Count;
        }
    }

    /// <summary>Counts a connection of an account; null where it has as many as it may.</summary>
    public Account? Enter(string name)
    {
        lock (_gate)
        {
            if (!_accounts.TryGetValue(name, out var account))
            {
                ForgetSome();
                _accounts[name] = account = new Account(name);
            }
            if (!MayEnter(account.Connections, options.ConnectionsPerAccount)) return null;
            if (account.Connections++ == 0) account.Place.List?.Remove(account.Place);
            return account;
        }
    }

    internal static bool MayEnter(int connections, int limit) => limit == 0 || connections < limit;

    /// <summary>A connection of an account has ended.</summary>
    public void Leave(Account account)
    {
        lock (_gate)
            if (--account.Connections == 0) _absent.AddLast(account.Place);
    }

    // Under the gate.
    void ForgetSome()
    {
        var now = clock.GetTimestamp();
        for (var i = 0; i < 2 && _absent.First is { Value: var account }; i++)
        {
            _absent.RemoveFirst();
            if (account.Buckets.IsFull(now)) _accounts.Remove(account.Name);
            else _absent.AddLast(account.Place);
        }
        while (_absent.Count > Remembered)
        {
            _accounts.Remove(_absent.First!.Value.Name);
            _absent.RemoveFirst();
        }
    }
}
